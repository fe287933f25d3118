// openid-client (OpenID certified) uses our provider as any application would. What it is to do comes as JSON on standard input,
// what it saw goes as JSON to standard output; whatever it refuses ends the program.
import * as oidc from 'openid-client'
import { text } from 'node:stream/consumers'

const task = JSON.parse(await text(process.stdin))
const issuer = new URL(task.issuer)
const seen = {}

async function found(client, authentication, metadata = {}) {
  const config = await oidc.discovery(issuer, client.id, metadata, authentication, { execute: [oidc.allowInsecureRequests] })
  oidc.allowInsecureRequests(config)
  oidc.enableNonRepudiationChecks(config)
  return config
}

// The person at their browser: signed in, and saying yes to whoever asks.
async function person(method, address, body) {
  const headers = { authorization: `Bearer ${task.token}`, ...(body && { 'content-type': 'application/json' }) }
  return fetch(address, { method, headers, body: body && JSON.stringify(body), redirect: 'manual' })
}

async function agreed(address) {
  const led = new URL((await person('GET', address)).headers.get('location'), issuer)
  if (led.pathname !== '/oauth/consent') return led
  const question = new URL(`/api/v1/auth/authorizations/${led.searchParams.get('request')}`, issuer)
  seen.question = await (await person('GET', question)).json()
  return new URL((await (await person('POST', question, { decision: 'GRANT' })).json()).address)
}

async function signedIn(config, redirect_uri, options = {}) {
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier()
  const [expectedState, expectedNonce] = [oidc.randomState(), oidc.randomNonce()]
  const address = oidc.buildAuthorizationUrl(config, {
    redirect_uri,
    scope: 'openid profile email offline_access',
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: expectedState,
    nonce: expectedNonce,
    max_age: '3600',
    ...(options.DPoP && { dpop_jkt: await options.DPoP.calculateThumbprint() }),
  })
  const back = await agreed(address)
  return oidc.authorizationCodeGrant(
    config,
    back,
    { pkceCodeVerifier, expectedState, expectedNonce, maxAge: 3600, idTokenExpected: true },
    undefined,
    options,
  )
}

// A web application: code and PKCE, refresh, userinfo, introspection, revocation, sign-out.
for (const [name, authenticate] of [['web', oidc.ClientSecretBasic], ['post', oidc.ClientSecretPost]]) {
  const client = task.clients[name]
  const config = await found(client, authenticate(client.secret))
  const first = await signedIn(config, client.redirect_uri)
  const renewed = await oidc.refreshTokenGrant(config, first.refresh_token)
  const info = await oidc.fetchUserInfo(config, renewed.access_token, first.claims().sub)
  const active = await oidc.tokenIntrospection(config, renewed.access_token)
  await oidc.tokenRevocation(config, renewed.refresh_token)
  const after = await oidc.tokenIntrospection(config, renewed.access_token)
  const refused = await oidc.refreshTokenGrant(config, renewed.refresh_token).catch((error) => error.error)
  seen[name] = { claims: first.claims(), scope: first.scope, info, active, after, refused }
  const hint = { id_token_hint: first.id_token, post_logout_redirect_uri: client.redirect_uri, state: 'bye' }
  seen[name].signOut = oidc.buildEndSessionUrl(config, hint).href
}

// A native application on a port of its own, its tokens bound to a key.
{
  const client = task.clients.native
  const config = await found(client, oidc.None(), { dpop_bound_access_tokens: true })
  const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'))
  const first = await signedIn(config, 'http://127.0.0.1:49152/callback', { DPoP })
  const renewed = await oidc.refreshTokenGrant(config, first.refresh_token, undefined, { DPoP })
  const info = await oidc.fetchUserInfo(config, renewed.access_token, first.claims().sub, { DPoP })
  const bare = await oidc.refreshTokenGrant(config, renewed.refresh_token).catch((error) => error.error)
  const stolen = await fetch(new URL('/oauth/userinfo', issuer), { headers: { authorization: `Bearer ${renewed.access_token}` } })
  seen.native = { type: renewed.token_type, sub: info.sub, bare, stolen: stolen.status }
}

// A service that signs who it is.
{
  const client = task.clients.machine
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
  const key = await crypto.subtle.importKey('jwk', client.jwk, algorithm, false, ['sign'])
  const config = await found(client, oidc.PrivateKeyJwt({ key, kid: client.jwk.kid }))
  const tokens = await oidc.clientCredentialsGrant(config, { scope: 'tasks:read' })
  const tasks = await oidc.fetchProtectedResource(config, tokens.access_token, new URL('/api/v1/tasks', issuer), 'GET')
  const others = await oidc
    .fetchProtectedResource(config, tokens.access_token, new URL('/api/v1/profile', issuer), 'GET')
    .catch((error) => error.status)
  seen.machine = { scope: tokens.scope, tasks: tasks.status, profile: others.status ?? others }
}

// A device without a browser.
{
  const config = await found(task.clients.device, oidc.None())
  const waiting = await oidc.initiateDeviceAuthorization(config, { scope: 'openid offline_access' })
  const door = new URL(`/api/v1/auth/devices/${waiting.user_code}`, issuer)
  seen.device = { question: await (await person('GET', door)).json() }
  await person('POST', door, { decision: 'GRANT' })
  const tokens = await oidc.pollDeviceAuthorizationGrant(config, { ...waiting, interval: 0.1 })
  seen.device.sub = tokens.claims().sub
}

console.log(JSON.stringify(seen))
