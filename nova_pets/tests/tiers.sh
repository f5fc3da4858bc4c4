# SPDX-License-Identifier: Apache-2.0
# tiers.sh DIRECTORY [PYTEST ARGUMENT ...]: run $NOVA_PETS_TIERS with $PYTHON.
# DIRECTORY keeps what failed. For make and tox. Code 1: a tier failed.
#
# One pytest for each tier: a tier may set up its process (threads or
# eventlet, nova's options) in a way that another cannot live with. All of them
# are run, whatever the ones before said. How many tests run at a time is said
# in conftest.py.
#
# The functional tier runs whole clouds beside each other, with heartbeats of
# real seconds, and the fencing tier asserts deadlines of real seconds: what
# failed there has to fail alone, too. So it is with the cloud of the lab, of
# which there is only one at a time; what must never be, such as a wrong fence,
# ends its session at once, with another code than 1.
#
# A tier that takes longer than $LIMIT_S seconds hangs, and has failed.

kept=$1
shift
limit=${LIMIT_S:-3600}
failed=

# --foreground: Ctrl-C reaches the tests.
tests() {
    timeout --foreground -k 30 "$limit" "${PYTHON:-python}" -m pytest \
        -o cache_dir="$kept/.cache-$tier" "$@" "nova_pets/tests/$tier"
}

for tier in $NOVA_PETS_TIERS; do
    # The others have fixtures that are dear and belong to a file.
    alone='-n 0'
    case $tier in
    unit | simulator) spread='-n auto --dist worksteal --no-loadscope-reorder' ;;
    lab | truehosts) spread='' alone='' ;;
    *) spread='-n auto --dist loadfile --no-loadscope-reorder' ;;
    esac
    echo "==> pytest $tier"
    # shellcheck disable=SC2086
    tests $spread "$@"
    status=$?
    case $status-$tier in
    1-functional | 1-fencing | 1-lab)
        echo "==> pytest $tier: once more, alone, what failed"
        # shellcheck disable=SC2086
        tests $alone --last-failed "$@"
        status=$?
        ;;
    esac
    [ $status -ne 124 ] || echo "==> pytest $tier: longer than $limit s"
    [ $status -eq 0 ] || failed="$failed $tier"
done
[ -z "$failed" ] || {
    echo "==> failed:$failed"
    exit 1
}
