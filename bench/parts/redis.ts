/** Several processes of an API that share their replay store in Redis, and what one proof costs there. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { sha256 } from '../../fixtures/kit.js'
import { type RedisClient, type RedisReplayStore, redisReplayStore } from '../../src/stores/redis/index.js'
import { hasRedisServer, type RedisServer, startRedis } from '../../test/support/redis/server.js'
import { responseOf, start } from './http.js'
import type { Node, ProcessCommand, RunResult, StoreName } from './redis-process.js'
import { fixed, type Report, versionOf } from './report.js'
import { median } from './statistics.js'

const SLOTS = 16_384
const PENDING = 32
const storeNames: readonly StoreName[] = ['memory', 'one Redis', 'three nodes of a cluster']

export async function redisSection(report: Report): Promise<void> {
  report.heading('Redis')
  if (!hasRedisServer) return report.text('Not run: there is no redis-server on this machine.')
  const servers: RedisServer[] = []
  try {
    const one = await startRedis()
    servers.push(one)
    for (let node = 0; node < 3; node++) {
      servers.push(await startRedis({ args: ['--cluster-enabled', 'yes'] }))
    }
    await proofTable(report, one)
    await processTable(report, one, servers.slice(1))
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
  }
}

/** Joins the servers to a cluster, each with a third of the slots. */
async function joinCluster(servers: readonly RedisServer[]): Promise<Node[]> {
  const [first] = servers as [RedisServer]
  const bounds = servers.map((_, index) => Math.floor((index * SLOTS) / servers.length)).concat(SLOTS)
  for (const [index, { send }] of servers.entries()) {
    const [from, to] = [bounds[index] as number, bounds[index + 1] as number]
    await send(`CLUSTER ADDSLOTSRANGE ${from} ${to - 1}`)
    if (index > 0) await send(`CLUSTER MEET 127.0.0.1 ${first.port}`)
  }
  for (const { send } of servers) {
    while (!(await send('CLUSTER INFO')).includes('cluster_state:ok')) await pause(100)
  }
  const slots = await Promise.all(
    ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map(async (tag) => {
      return [tag, Number((await first.send(`CLUSTER KEYSLOT ${tag}`)).slice(1))] as const
    }),
  )
  return servers.map(({ port }, index) => {
    const [from, to] = [bounds[index] as number, bounds[index + 1] as number]
    const [tag] = slots.find(([, slot]) => slot >= from && slot < to) ?? []
    if (tag === undefined) throw new Error('no hash tag for this node')
    return { port, tag }
  })
}

/** Microseconds of CPU that a server has used. */
async function serverCpu({ send }: RedisServer): Promise<number> {
  const info = await send('INFO cpu')
  const field = (name: string) => Number(new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1])
  return (field('used_cpu_sys') + field('used_cpu_user')) * 1e6
}

async function processTable(report: Report, one: RedisServer, cluster: RedisServer[]): Promise<void> {
  const nodes = await joinCluster(cluster)
  const children = Array.from({ length: 4 }, () => start('./redis-process.js'))
  const ask = <T>(count: number, command: ProcessCommand) =>
    Promise.all(children.slice(0, count).map((child) => responseOf<T>(child, command)))
  const used = { memory: [], 'one Redis': [one], 'three nodes of a cluster': cluster }
  const sumCpu = async (store: StoreName) => sum(await Promise.all(used[store].map(serverCpu)))
  const rows: string[][] = []
  try {
    await ask(4, { command: 'connect', one: one.port, nodes })
    for (const count of [2, 4]) {
      const measured = storeNames.map(() => ({
        perSecond: [] as number[],
        api: [] as number[],
        redis: [] as number[],
      }))
      for (let round = 0; round < 6; round++) {
        for (const [index, store] of storeNames.entries()) {
          const requests = 2000 / count
          await ask(count, { command: 'prepare', store, requests })
          const before = await sumCpu(store)
          const began = performance.now()
          const results = await ask<RunResult>(count, { command: 'run', pending: PENDING / count })
          const seconds = (performance.now() - began) / 1000
          const redis = (await sumCpu(store)) - before
          if (round === 0) continue
          measured[index]?.perSecond.push((requests * count) / seconds)
          measured[index]?.api.push(sum(results.map(({ cpu }) => cpu)) / (requests * count))
          measured[index]?.redis.push(redis / (requests * count))
        }
      }
      for (const [index, store] of storeNames.entries()) {
        const { perSecond, api, redis } = measured[index] as (typeof measured)[number]
        const cpuOfRedis = store === 'memory' ? '' : `${fixed(median(redis))} µs`
        rows.push([
          `${count} processes, ${store}`,
          fixed(median(perSecond), 0),
          `${fixed(median(api), 0)} µs`,
          cpuOfRedis,
        ])
      }
    }
  } finally {
    for (const child of children) child.disconnect()
  }
  report.text(
    `Processes that verify requests without HTTP and share their replay store, with ${PENDING} requests pending in ` +
      'all. Every process signs its requests before they are timed. The servers of Redis run on the same machine. ' +
      'In the cluster, each process has a connection and a store for each of three nodes, each store with the hash ' +
      'tag of its node, and the digest of a proof selects the store: ajwt takes no client of a cluster. The CPU is ' +
      'that of one request. Medians of rounds that take turns.',
  )
  report.table(['', 'requests a second', 'CPU of the API', 'CPU of Redis'], rows)
}

/** The CPU that one proof costs the process and the server, alone and under load. */
async function proofTable(report: Report, server: RedisServer): Promise<void> {
  const ioredis = new Redis(server.port, '127.0.0.1')
  const redis = createClient({ socket: { host: '127.0.0.1', port: server.port } })
  await Promise.all([once(ioredis, 'ready'), redis.connect()])
  const clients: readonly [string, RedisClient][] = [
    ['ioredis', ioredis],
    ['redis', redis],
  ]
  const rows: string[][] = []
  let serial = 0
  try {
    for (const [pending, proofs] of [
      [1, 500],
      [64, 6400],
    ] as const) {
      for (const [name, client] of clients) {
        const store = redisReplayStore(client, { timeout: 5 })
        await untilAccepting(store)
        const api: number[] = []
        const ofRedis: number[] = []
        for (let round = 0; round < 12; round++) {
          const keys = Array.from({ length: proofs }, () => `${sha256('agent')}.${sha256(`${serial++}`)}`)
          const [before, began] = [await serverCpu(server), process.cpuUsage()]
          await Promise.all(
            Array.from({ length: pending }, async () => {
              for (let key = keys.pop(); key !== undefined; key = keys.pop()) {
                if (!(await store.remember(key, 60, 60))) throw new Error('a new proof was denied')
              }
            }),
          )
          const { user, system } = process.cpuUsage(began)
          if (round < 2) continue
          api.push((user + system) / proofs)
          ofRedis.push(((await serverCpu(server)) - before) / proofs)
        }
        rows.push([`${name}, ${pending} pending`, `${fixed(median(api))} µs`, `${fixed(median(ofRedis))} µs`])
      }
    }
  } finally {
    ioredis.disconnect()
    redis.destroy()
  }
  report.text(
    'CPU that the replay store needs for one proof, with all of them new, in the process and in Redis. With ' +
      `ioredis ${versionOf('ioredis')} and redis ${versionOf('redis')}.`,
  )
  report.table(['', 'CPU of the API', 'CPU of Redis'], rows)
}

/** A server that has just started accepts no proof for a moment. */
async function untilAccepting(store: RedisReplayStore): Promise<void> {
  const end = performance.now() + 10_000
  while (!(await store.remember(randomUUID(), 60, 60).catch(() => false))) {
    if (performance.now() > end) throw new Error('Redis accepted no proof within 10 s')
    await pause(100)
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
