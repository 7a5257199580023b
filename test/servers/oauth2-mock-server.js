import { OAuth2Server } from 'oauth2-mock-server'

// With COMPLETE, tokens get what a program under test expects of its real server: the hook is there for that.

const server = new OAuth2Server()
await server.issuer.keys.generate('RS256')
if (process.env.COMPLETE) {
  let count = 0
  server.service.on('beforeTokenSigning', ({ payload }, req) => {
    const isIdToken = payload.aud === req.body.client_id
    payload.sub ??= req.body.client_id
    payload.aud ??= process.env.COMPLETE
    if (!isIdToken) payload.jti = `token-${++count}`
  })
}
await server.start(Number(process.env.PORT), 'localhost')
console.log(`listening on port ${process.env.PORT}`)
