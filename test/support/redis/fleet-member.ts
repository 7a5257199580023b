/** One process of a fleet. `redis/fleet.test.ts` starts four of them, two with each client package. */
import { setTimeout as pause } from 'node:timers/promises'
import { redisReplayStore, redisRevocations } from '../../../src/stores/redis/index.js'
import { connectClient, type Package } from './clients.js'
import { proofKey } from './keys.js'

export type Order =
  | { kind: 'present'; keys: string[] }
  | { kind: 'load'; on: boolean }
  | { kind: 'watch'; id: string }
  | { kind: 'stop' }

export type Report =
  | { kind: 'ready' }
  | { kind: 'accepted'; keys: string[]; failed: number }
  | { kind: 'watching' }
  | { kind: 'refused'; at: number }
  | { kind: 'loaded'; checks: number }

const [name, port] = process.argv.slice(2) as [Package, string]
const { client, close } = await connectClient(name, Number(port))
const replay = redisReplayStore(client, { timeout: 10 })
const revocations = redisRevocations(client)
await revocations.ready()

const report = (message: Report) => process.send?.(message)
let loading = false

async function present(keys: string[]): Promise<void> {
  const answers = await Promise.allSettled(keys.map((key) => replay.remember(key, 60)))
  const accepted = keys.filter((_, at) => (answers[at] as { value?: boolean }).value === true)
  const failed = answers.filter(({ status }) => status === 'rejected').length
  report({ kind: 'accepted', keys: accepted, failed })
}

async function load(): Promise<void> {
  loading = true
  let checks = 0
  while (loading) {
    const keys = Array.from({ length: 10 }, () => proofKey(`${process.pid}`, checks++))
    await Promise.all(keys.map((key) => replay.remember(key, 60)))
    await pause(2)
  }
  report({ kind: 'loaded', checks })
}

async function watch(id: string): Promise<void> {
  report({ kind: 'watching' })
  while (!revocations.isRevoked([id])) await pause(1)
  report({ kind: 'refused', at: performance.timeOrigin + performance.now() })
}

async function stop(): Promise<void> {
  await revocations.close()
  close()
  process.disconnect()
}

process.on('message', (order: Order) => {
  if (order.kind === 'present') present(order.keys)
  else if (order.kind === 'watch') watch(order.id)
  else if (order.kind === 'stop') stop()
  else if (order.on) load()
  else loading = false
})

report({ kind: 'ready' })
