# SPDX-License-Identifier: Apache-2.0
"""The identity of evacuations, against a keystone of a few lines."""

import datetime
import http.server
import json
import threading

from keystoneauth1 import loading as ks_loading
from oslo_config import cfg
import pytest

from nova_pets import exception
from nova_pets.compute import auth

CATALOG = [
    {'type': 'image', 'name': 'glance', 'id': '1', 'endpoints': [
        {'interface': 'public', 'region': 'r1', 'region_id': 'r1',
         'url': 'http://image.r1', 'id': '1'},
        {'interface': 'internal', 'region_id': 'r1',
         'url': 'http://image.internal.r1', 'id': '2'},
        {'interface': 'public', 'region': 'r2', 'url': 'http://image.r2',
         'id': '3'}]},
    {'type': 'object-store', 'name': 'swift', 'id': '2', 'endpoints': []}]


class Keystone(http.server.ThreadingHTTPServer):
    """Gives token-1, token-2 ..., each with a life of ``life_s``."""

    life_s = 3600
    given = 0
    works = True

    @property
    def url(self):
        return f'http://127.0.0.1:{self.server_port}/v3'

    def token(self):
        now = datetime.datetime.now(datetime.UTC)
        expires = now + datetime.timedelta(seconds=self.life_s)
        stamp = '%Y-%m-%dT%H:%M:%S.000000Z'
        return {'token': {
            'methods': ['password'], 'catalog': CATALOG,
            'roles': [{'id': 'a', 'name': 'admin'}],
            'user': {'id': 'u1', 'name': 'nova',
                     'domain': {'id': 'd1', 'name': 'Default'}},
            'project': {'id': 'p1', 'name': 'service',
                        'domain': {'id': 'd2', 'name': 'Default'}},
            'issued_at': now.strftime(stamp),
            'expires_at': expires.strftime(stamp)}}


class Handler(http.server.BaseHTTPRequestHandler):
    def _answer(self, status, body, **headers):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self._answer(200, {'version': {
            'id': 'v3.14', 'status': 'stable',
            'links': [{'rel': 'self', 'href': self.server.url}]}})

    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        if not self.server.works:
            self._answer(401, {'error': {'message': 'no', 'code': 401}})
            return
        self.server.given += 1
        self._answer(201, self.server.token(),
                     X_Subject_Token=f'token-{self.server.given}')

    def log_message(self, *args):
        pass


@pytest.fixture
def keystone():
    server = Keystone(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=server.serve_forever,
                              kwargs={'poll_interval': 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def conf():
    conf = cfg.ConfigOpts()
    conf.register_opts([cfg.StrOpt('endpoint_override'),
                        cfg.ListOpt('api_servers')], group='glance')
    for group in ('pets_auth', 'service_user'):
        ks_loading.register_auth_conf_options(conf, group)
        ks_loading.register_session_conf_options(conf, group)
    conf([])
    return conf


def configure(conf, group, url):
    options = ks_loading.get_auth_plugin_conf_options('v3password')
    conf.register_opts(options, group=group)
    for name, value in {
            'auth_type': 'v3password', 'auth_url': url, 'username': 'nova',
            'password': 'secret', 'project_name': 'service',
            'user_domain_id': 'd1', 'project_domain_id': 'd2'}.items():
        conf.set_override(name, value, group=group)


def identity(conf, **kwargs):
    return auth.Identity(conf=conf, **kwargs)


def test_the_context_is_what_a_rest_evacuate_would_carry(conf, keystone):
    configure(conf, 'pets_auth', keystone.url)
    context = identity(conf).context('req-1')
    assert (context.request_id, context.auth_token, context.user_id,
            context.project_id, context.is_admin) == (
        'req-1', 'token-1', 'u1', 'p1', True)
    assert context.roles == ['admin']
    assert context.service_catalog == [{
        'type': 'image', 'name': 'glance', 'endpoints': [
            {'region': 'r1', 'publicURL': 'http://image.r1',
             'internalURL': 'http://image.internal.r1'},
            {'region': 'r2', 'publicURL': 'http://image.r2'}]}]
    again = type(context).from_dict(context.to_dict())
    assert again.auth_token == 'token-1'
    plugin = again.get_auth_plugin()
    assert plugin.get_endpoint(None, service_type='image',
                               interface='public',
                               region_name='r2') == 'http://image.r2'


@pytest.mark.parametrize('groups, expected', [
    (('pets_auth', 'service_user'), 'pets_auth'),
    (('service_user',), 'service_user'), ((), None)], ids=str)
def test_the_first_configured_section_counts(conf, groups, expected):
    for group in groups:
        configure(conf, group, 'http://127.0.0.1:1/v3')
    assert identity(conf).section() == expected


def test_a_token_is_used_again_while_it_lives_long_enough(conf, keystone):
    configure(conf, 'service_user', keystone.url)
    mine = identity(conf, min_token_life_s=1800)
    assert mine.context(None).auth_token == 'token-1'
    assert mine.context(None).auth_token == 'token-1'
    long = identity(conf, min_token_life_s=7200)
    tokens = [long.context(None).auth_token for _ in range(2)]
    assert tokens[0] != tokens[1]


def test_no_keystone_is_a_problem_and_no_context(conf, keystone):
    configure(conf, 'pets_auth', keystone.url)
    mine = identity(conf)
    assert mine.problem() is None
    keystone.works = False
    broken = identity(conf)
    assert 'Unauthorized' in broken.problem()
    assert 'secret' not in broken.problem()
    with pytest.raises(exception.NovaUnavailable):
        broken.context(None)
    keystone.works = True
    assert broken.problem() is None


@pytest.mark.parametrize('option, value', [
    ('endpoint_override', 'http://image'), ('api_servers', ['http://image'])])
def test_without_credentials_glance_must_be_named(conf, option, value):
    mine = identity(conf)
    assert '[pets_auth]' in mine.problem()
    with pytest.raises(exception.NovaUnavailable):
        mine.context('req-1')
    conf.set_override(option, value, group='glance')
    assert mine.problem() is None
    context = mine.context('req-1')
    assert (context.request_id, context.auth_token, context.is_admin) == (
        'req-1', None, True)


def test_a_token_without_a_catalogue_needs_glance_named(conf):
    conf.register_opts(ks_loading.get_auth_plugin_conf_options(
        'admin_token'), group='pets_auth')
    for name, value in {'auth_type': 'admin_token', 'token': 't',
                        'endpoint': 'http://x'}.items():
        conf.set_override(name, value, group='pets_auth')
    assert 'catalogue' in identity(conf).problem()
    conf.set_override('endpoint_override', 'http://image', group='glance')
    assert identity(conf).context('req-1').auth_token == 't'
