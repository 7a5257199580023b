/** One process of an API that shares its replay store with others. `redis.ts` starts four of them. */
import { once } from 'node:events'
import { Redis } from 'ioredis'
import { createVerifier, memoryReplayStore, type ReplayStore, type Verifier } from '../../src/index.js'
import { redisReplayStore } from '../../src/stores/redis/index.js'
import { benchPolicy } from './contenders.js'
import { type BenchRequest, createWorkload } from './workload.js'

export type StoreName = 'memory' | 'one Redis' | 'three nodes of a cluster'

/** A port of Redis, and a hash tag whose slot is on that node. */
export interface Node {
  readonly port: number
  readonly tag: string
}

export type ProcessCommand =
  | { readonly command: 'connect'; readonly one: number; readonly nodes: readonly Node[] }
  | { readonly command: 'prepare'; readonly store: StoreName; readonly requests: number }
  | { readonly command: 'run'; readonly pending: number }

export interface RunResult {
  /** Microseconds of CPU. */
  readonly cpu: number
}

const workload = createWorkload('ES256')
const agent = workload.agent()
const policy = benchPolicy(workload)
const verifiers = new Map<StoreName, Verifier>()
let verifier: Verifier
let requests: BenchRequest[] = []

async function connect(port: number, prefix?: string): Promise<ReplayStore> {
  const client = new Redis(port, '127.0.0.1')
  await once(client, 'ready')
  // The machine has fewer cores than processes.
  return redisReplayStore(client, { timeout: 5, ...(prefix === undefined ? {} : { prefix }) })
}

/** Each node has the keys whose prefix has its hash tag. Which one gets a key depends on its digest. */
function divide(stores: readonly ReplayStore[]): ReplayStore {
  return {
    remember: (key, ttl) =>
      (stores[key.charCodeAt(key.length - 1) % stores.length] as ReplayStore).remember(key, ttl),
  }
}

async function connectAll({ one, nodes }: Extract<ProcessCommand, { command: 'connect' }>): Promise<object> {
  // A new Redis accepts no proof for the tolerance and some seconds.
  const add = (name: StoreName, replayStore: ReplayStore) =>
    verifiers.set(
      name,
      createVerifier({ ...policy, token: { ...policy.token, clockTolerance: 1 } }, { replayStore }),
    )
  add('memory', memoryReplayStore())
  add('one Redis', await connect(one))
  add(
    'three nodes of a cluster',
    divide(await Promise.all(nodes.map(({ port, tag }) => connect(port, `{${tag}}:`)))),
  )
  return {}
}

/** Makes requests, and shows that one is allowed once. A new server allows none for some seconds. */
async function prepare(store: StoreName, count: number): Promise<object> {
  verifier = verifiers.get(store) as Verifier
  const token = workload.token(agent)
  const end = performance.now() + 20_000
  let request: BenchRequest
  do {
    if (performance.now() > end) throw new Error(`no valid request was allowed with ${store}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
    request = workload.request(agent, token)
  } while ((await verifier.verify(request)).outcome !== 'allow')
  const replayed = await verifier.verify(request)
  if (!('code' in replayed && replayed.code === 'proof_replayed'))
    throw new Error(`${store} allowed a replay`)
  requests = Array.from({ length: count }, () => workload.request(agent, token))
  return {}
}

async function run(pending: number): Promise<RunResult> {
  const before = process.cpuUsage()
  await Promise.all(
    Array.from({ length: pending }, async () => {
      for (let request = requests.pop(); request !== undefined; request = requests.pop()) {
        if ((await verifier.verify(request)).outcome !== 'allow')
          throw new Error('a valid request was denied')
      }
    }),
  )
  const { user, system } = process.cpuUsage(before)
  return { cpu: user + system }
}

function execute(command: ProcessCommand): Promise<object> {
  if (command.command === 'connect') return connectAll(command)
  return command.command === 'prepare' ? prepare(command.store, command.requests) : run(command.pending)
}

process.on('message', (command: ProcessCommand) => {
  execute(command).then(
    (result) => process.send?.(result),
    (error) => process.send?.({ error: String(error) }),
  )
})
process.on('disconnect', () => process.exit())
