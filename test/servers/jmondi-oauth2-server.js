import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { AuthorizationServer, DateInterval } from '@jmondi/oauth2-server'
import { handleExpressError, handleExpressResponse } from '@jmondi/oauth2-server/express'
import express from 'express'
import { decodeJwt, jwtVerify, SignJWT } from 'jose'

// A server as its documentation builds one, with the client credentials grant. Metadata and keys are left to
// the app: its own JwtService signs with HS256.

const port = Number(process.env.PORT)
const issuer = `http://localhost:${port}`
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwt = {
  sign: (payload) => new SignJWT(payload).setProtectedHeader({ alg: 'ES256', typ: 'JWT' }).sign(privateKey),
  verify: async (token) => (await jwtVerify(token, publicKey)).payload,
  decode: decodeJwt,
}

const client = {
  id: 'orders-bot',
  name: 'Orders bot',
  secret: process.env.CLIENT_SECRET,
  redirectUris: [],
  allowedGrants: ['client_credentials'],
  scopes: [{ name: 'orders:read' }],
}
const clients = {
  getByIdentifier: async (id) => (id === client.id ? client : undefined),
  isClientValid: async (grant, { allowedGrants }, secret) =>
    allowedGrants.includes(grant) && secret === client.secret,
}
const tokens = {
  issueToken: async (owner, scopes, user) => ({
    accessToken: randomBytes(16).toString('hex'),
    accessTokenExpiresAt: new DateInterval('5m').getEndDate(),
    client: owner,
    user,
    scopes,
  }),
  persist: async () => {},
}
const scopes = {
  getAllByIdentifiers: async (names) => client.scopes.filter(({ name }) => names.includes(name)),
  finalize: async (asked) => asked,
}

const server = new AuthorizationServer(clients, tokens, scopes, jwt, { issuer })
server.enableGrantType('client_credentials', new DateInterval('5m'))

const app = express()
app.get('/.well-known/oauth-authorization-server', (_req, res) => {
  res.json({ issuer, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/jwks` })
})
app.get('/jwks', (_req, res) => {
  res.json({ keys: [{ ...publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256' }] })
})
app.post('/token', express.urlencoded({ extended: false }), async (req, res) => {
  try {
    handleExpressResponse(res, await server.respondToAccessTokenRequest(req))
  } catch (error) {
    handleExpressError(error, res)
  }
})
app.listen(port, () => console.log(`listening on port ${port}`))
