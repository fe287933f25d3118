// fast-gateway with a middleware that makes the same check: signature, times, issuer, audience, roles. Told to remember, it keeps
// what it found of 10,000 tokens.
import { createPublicKey } from 'node:crypto'
import gateway from 'fast-gateway'
import { createVerifier } from 'fast-jwt'

const settings = JSON.parse(process.env.LUMIERE_BENCH_GATEWAY)
const key = createPublicKey({ key: settings.key, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
const verify = createVerifier({
  key,
  algorithms: ['ES256'],
  allowedIss: settings.issuer,
  allowedAud: settings.audience,
  checkTyp: 'at+jwt',
  cache: settings.remember ? 10_000 : false
})
const routes = [
  [/^\/api\/v1\/admin\/users\/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/, 'ADMIN'],
  [/^\/api\/v1\/notifications\/count$/, null]
]

function check (request, response, next) {
  const route = routes.find(([pattern]) => pattern.test(request.url))
  const header = request.headers.authorization ?? ''
  if (!route) return refuse(response, 404)
  if (!header.startsWith('Bearer ')) return refuse(response, 401)
  let claims
  try {
    claims = verify(header.slice(7))
  } catch {
    return refuse(response, 401)
  }
  if (route[1] && !claims.roles.split(' ').includes(route[1])) return refuse(response, 403)
  return next()
}

function refuse (response, status) {
  response.statusCode = status
  response.end()
}

gateway({
  middlewares: [check],
  routes: [{ prefix: '/api', prefixRewrite: '/api', target: `http://${settings.service}` }]
}).start(settings.port, '127.0.0.1')
