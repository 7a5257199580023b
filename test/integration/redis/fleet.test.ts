import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { redisRevocations } from '../../../src/stores/redis/index.js'
import { connectClient } from '../../support/redis/clients.js'
import type { Order, Report } from '../../support/redis/fleet-member.js'
import { proofKey } from '../../support/redis/keys.js'
import { hasRedisServer, type RedisServer, startRedis, WITHOUT_REDIS } from '../../support/redis/server.js'

const MEMBER = fileURLToPath(new URL('../../support/redis/fleet-member.ts', import.meta.url))
const ROUNDS = 40
const PER_ROUND = 250

function start(name: string, port: number) {
  const child = fork(MEMBER, [name, String(port)], { execArgv: ['--import', 'tsx'] })
  const reports: Report[] = []
  let arrived = () => {}
  child.on('message', (report: Report) => {
    reports.push(report)
    arrived()
  })
  child.on('exit', () => arrived())
  const ended = () => child.exitCode !== null || child.signalCode !== null
  return {
    order: (order: Order) => void child.send(order),
    async report<K extends Report['kind']>(kind: K): Promise<Extract<Report, { kind: K }>> {
      for (;;) {
        const at = reports.findIndex((report) => report.kind === kind)
        if (at >= 0) return reports.splice(at, 1)[0] as Extract<Report, { kind: K }>
        if (ended()) throw new Error(`a member of the fleet ended with ${child.exitCode}`)
        await new Promise<void>((resolve) => {
          arrived = resolve
        })
      }
    },
    async stop() {
      if (ended()) return
      child.send({ kind: 'stop' } satisfies Order)
      await once(child, 'exit')
    },
  }
}

describe.skipIf(!hasRedisServer)(`four processes that share a Redis${WITHOUT_REDIS}`, () => {
  let server: RedisServer
  let fleet: ReturnType<typeof start>[] = []

  beforeAll(async () => {
    server = await startRedis()
    fleet = ['ioredis', 'redis', 'ioredis', 'redis'].map((name) => start(name, server.port))
    await Promise.all(fleet.map((member) => member.report('ready')))
  }, 60_000)
  afterAll(async () => {
    await Promise.all(fleet.map((member) => member.stop()))
    await server?.stop()
  })

  it('accept each of 10,000 proofs exactly once between them, under load', { timeout: 120_000 }, async () => {
    const accepted: string[] = []
    const shares = fleet.map(() => 0)
    const began = performance.now()
    // All four get the same proofs at the same moment, round by round.
    for (let round = 0; round < ROUNDS; round++) {
      const keys = Array.from({ length: PER_ROUND }, (_, jti) =>
        proofKey(`agent ${jti % 10}`, `${round} ${jti}`),
      )
      for (const member of fleet) member.order({ kind: 'present', keys })
      const reports = await Promise.all(fleet.map((member) => member.report('accepted')))
      expect(reports.map((report) => report.failed)).toEqual([0, 0, 0, 0])
      reports.forEach((report, at) => {
        accepted.push(...report.keys)
        shares[at] = (shares[at] ?? 0) + report.keys.length
      })
    }
    const seconds = (performance.now() - began) / 1000
    expect(accepted).toHaveLength(ROUNDS * PER_ROUND)
    expect(new Set(accepted).size).toBe(ROUNDS * PER_ROUND)
    const rate = Math.round((4 * ROUNDS * PER_ROUND) / seconds)
    console.log(`four processes: ${rate} checks per second; each accepted ${shares.join(', ')}`)
    expect(shares.filter((share) => share > 0).length).toBeGreaterThan(1)
  })

  it('refuse what is revoked a moment after revoke(), while they are under load', {
    timeout: 120_000,
  }, async () => {
    const { client, close } = await connectClient('ioredis', server.port)
    const revocations = redisRevocations(client)
    await revocations.ready()
    for (const member of fleet) member.order({ kind: 'load', on: true })
    const times: number[] = []
    for (let round = 0; round < 20; round++) {
      const id = `agent:https://as.example.com worker-${round}`
      for (const member of fleet) member.order({ kind: 'watch', id })
      await Promise.all(fleet.map((member) => member.report('watching')))
      const began = performance.timeOrigin + performance.now()
      await revocations.revoke(id, Date.now() / 1000 + 60)
      const refused = await Promise.all(fleet.map((member) => member.report('refused')))
      times.push(Math.max(...refused.map((report) => report.at)) - began)
    }
    for (const member of fleet) member.order({ kind: 'load', on: false })
    const loads = await Promise.all(fleet.map((member) => member.report('loaded')))
    const checks = loads.reduce((sum, report) => sum + report.checks, 0)
    times.sort((one, other) => one - other)
    const [median, slowest] = [times[10] as number, times.at(-1) as number]
    console.log(
      `from revoke() to the last of four processes: ${median.toFixed(1)} ms median, ${slowest.toFixed(1)} ms at most, beside ${checks} checks`,
    )
    expect(median).toBeLessThan(1000)
    await revocations.close()
    close()
  })
})
