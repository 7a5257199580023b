/** One process of a fleet whose limits are counted in Redis: it verifies the requests that it is sent. */

import { createVerifier, memoryReplayStore, type VerifyRequest } from '../../../src/index.js'
import { redisLimitStore } from '../../../src/stores/redis/index.js'
import { connectClient, type Package } from './clients.js'
import { limitPolicy } from './limit-policy.js'

const [name, port, jwks] = process.argv.slice(2) as [Package, string, string]
const { client, close } = await connectClient(name, Number(port))
const limitStore = redisLimitStore(client, { timeout: 10 })
await limitStore.ready()
const verifier = createVerifier(limitPolicy(JSON.parse(jwks)), {
  limitStore,
  replayStore: memoryReplayStore(),
})

process.on('message', async (requests: VerifyRequest[] | 'stop') => {
  if (requests === 'stop') {
    close()
    process.disconnect()
    return
  }
  const decisions = await Promise.all(requests.map((request) => verifier.verify(request)))
  process.send?.(decisions.map((decision) => ('code' in decision ? decision.code : decision.outcome)))
})
process.send?.('ready')
