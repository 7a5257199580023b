import type { RedisAdapter } from './client.js'
import { type ServerInfo, serverInfo } from './server-info.js'

const YEAR = 365 * 24 * 3600

/** Knows since when the server at the other end remembers everything that it was told. */
export interface RedisMemory {
  /** Whether it is known who answers on the present connection. */
  readonly isIdentified: boolean
  /** Counts the connections that were lost: an answer counts only if it came over the one that was asked. */
  readonly connection: number
  /** Seconds since the epoch by this process's clock. What was told before that may be forgotten. */
  readonly since: number
  /** Asks the server who it is. Rejects where it is no master: a replica may be behind, and takes no writes. */
  identify(): Promise<void>
  /** To be called when the server answers that it takes no writes. */
  doubt(): void
}

/**
 * Follows which server answers. A server that started has lost what was not on its disk; one that was promoted, what had
 * not reached it as a replica. So `since` is
 *
 * - for the first server that this process meets, its start, by its own `uptime_in_seconds`; where it was promoted since
 *   then, the moment at which some process first met it as a master (the key `<prefix>master.<run id>.<replication id>`);
 * - for any other server that takes the first one's place later, and for one that was promoted meanwhile: now.
 *
 * Not noticed: FLUSHALL, keys that were deleted or evicted, and, by a process that starts afterwards, a swap to a server
 * that has been up for longer. Where `INFO` is refused nothing is noticed.
 */
export function watchMemory(redis: RedisAdapter, prefix: string): RedisMemory {
  let connection = 0
  let isIdentified = false
  let identifying: Promise<void> | undefined
  let known: ServerInfo | undefined
  let since = Number.NEGATIVE_INFINITY

  redis.onLoss(() => {
    connection += 1
    isIdentified = false
  })
  // At once, and not at the next proof, which may come much later: "now" is then the moment of the change.
  redis.onReady(() => {
    identify().catch(() => {})
  })

  function identify(): Promise<void> {
    identifying ??= identifyServer().finally(() => {
      identifying = undefined
    })
    return identifying
  }

  async function identifyServer(): Promise<void> {
    let asked: number
    let info: ServerInfo
    let earliest: number
    do {
      asked = connection
      info = await serverInfo(redis.command)
      if (info.role !== undefined && info.role !== 'master') {
        throw new Error(`redisReplayStore: the server is a ${info.role}, which may be behind its master`)
      }
      const now = Date.now() / 1000
      if (known === undefined) earliest = await sinceFirstMet(info, now)
      else earliest = isOther(info, known) ? now : since
    } while (asked !== connection)
    since = Math.max(since, earliest)
    if (info.runId !== undefined) known = info
    isIdentified = true
  }

  /** Since when a server that this process meets for the first time has known all that it was told. */
  async function sinceFirstMet(info: ServerInfo, now: number): Promise<number> {
    if (info.runId === undefined) return Number.NEGATIVE_INFINITY
    if (info.uptime === undefined) return now
    const started = now - info.uptime
    return info.earlierReplicationId === undefined
      ? started
      : Math.max(started, now - (await masterFor(info)))
  }

  /** Seconds since some process first met this server as a master, as far as the server remembers it. */
  async function masterFor({ runId, replicationId }: ServerInfo): Promise<number> {
    const key = `${prefix}master.${runId}.${replicationId}`
    if ((await redis.command('SET', key, '1', 'NX', 'EX', String(YEAR))) === 'OK') return 0
    const left = Number(await redis.command('TTL', key))
    return left > 0 && left <= YEAR ? YEAR - left : 0
  }

  return {
    get isIdentified() {
      return isIdentified
    },
    get connection() {
      return connection
    },
    get since() {
      return since
    },
    identify,
    doubt() {
      isIdentified = false
    },
  }
}

/** Whether what the server knew when it was met before may have been lost since then. */
function isOther(info: ServerInfo, known: ServerInfo): boolean {
  if (info.runId !== known.runId) return true
  // A master that gives up its replication backlog takes a new id as well, but then there is no earlier one.
  return info.replicationId !== known.replicationId && info.earlierReplicationId !== undefined
}
