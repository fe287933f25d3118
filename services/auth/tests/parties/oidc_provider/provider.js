// The certified OpenID provider `oidc-provider`, as an operator would configure it for Lumière; its own development pages sign in.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const { CLIENT_ID, CLIENT_SECRET, REDIRECT_URI } = process.env;
const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
const people = {
  grace: { email: 'grace@example.org', email_verified: true, name: 'Grace Hopper', locale: 'en' },
  mallory: { email: 'ada@example.org', email_verified: false, name: 'Mallory' },
  ada: { email: 'ada@example.org', email_verified: true, name: 'Ada Lovelace' },
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      redirect_uris: [REDIRECT_URI],
      application_type: 'native', // Lumière listens on the loopback interface here, without TLS
      id_token_signed_response_alg: 'ES256',
    }],
    claims: { email: ['email', 'email_verified'], profile: ['name', 'locale'] },
    cookies: { keys: [CLIENT_SECRET] },
    findAccount: (_, id) => (people[id] ? { accountId: id, claims: () => ({ sub: id, ...people[id] }) } : undefined),
    jwks: { keys: [{ ...key, use: 'sig', alg: 'ES256', kid: 'of-the-party' }] },
    pkce: { required: () => true },
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
