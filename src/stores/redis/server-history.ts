import { STORE_TIMEOUT_SECONDS, withDeadline } from '../../lib/promise.js'
import type { RedisAdapter } from './client.js'
import { type ServerInfo, serverInfo } from './server-info.js'

const YEAR = 365 * 24 * 3600

/** The time since which the connected server has all entries. */
export interface ServerHistory {
  /** Whether the server of the current connection is identified. */
  readonly isIdentified: boolean
  /**
   * Increases with each lost connection, and with `invalidate`. A reply only counts if the number is the same
   * as for its command.
   */
  readonly connection: number
  /** Seconds since the epoch by the clock of this process. Entries from before this time may be lost. */
  readonly completeSince: number
  /**
   * Reads `INFO` of the server. Rejects if the server is a replica, which may be behind and takes no writes,
   * and after five seconds without a reply: the next call then reads it again.
   */
  identify(): Promise<void>
  /** Call this when the server refuses writes: it may have become a replica. */
  invalidate(): void
}

/**
 * Tracks which server is connected. A restarted server has lost the entries that were not on its disk. A
 * promoted replica has lost the entries that had not reached it. So `completeSince` is
 *
 * - for the first server of this process: its start, by `uptime_in_seconds`. If it was promoted after that,
 *   the time at which a process first saw it as a master (the key `<prefix>master.<run id>.<replication id>`)
 * - for a server that replaces it, or that is promoted later: the time at which this was noticed
 *
 * Cannot notice FLUSHALL, deleted or evicted keys, and, in a process that starts later, the replacement by a
 * server with a longer uptime. Notices nothing if the user may not run `INFO`.
 */
export function trackServerHistory(redis: RedisAdapter, prefix: string): ServerHistory {
  let connection = 0
  let isIdentified = false
  let identifying: Promise<void> | undefined
  let known: ServerInfo | undefined
  let completeSince = Number.NEGATIVE_INFINITY

  redis.onDisconnect(() => {
    connection += 1
    isIdentified = false
  })
  // Identifies the server at once. The next proof may come much later, and `completeSince` would then be too
  // late.
  redis.onReady(() => {
    identify().catch(() => {})
  })

  function identify(): Promise<void> {
    // A client may lose a command between two connections. Its reply must not be waited for ever.
    identifying ??= withDeadline(identifyServer(), STORE_TIMEOUT_SECONDS).finally(() => {
      identifying = undefined
    })
    return identifying
  }

  async function identifyServer(): Promise<void> {
    let usedConnection: number
    let info: ServerInfo
    let since: number
    do {
      usedConnection = connection
      info = await serverInfo(redis.command)
      if (info.role !== undefined && info.role !== 'master') {
        throw new Error(
          `redisReplayStore: the server is a ${info.role}, which may be behind. Connect to the master`,
        )
      }
      const now = Date.now() / 1000
      if (known === undefined) since = await completeSinceOf(info, now)
      else since = mayHaveLostData(info, known) ? now : completeSince
    } while (usedConnection !== connection)
    completeSince = Math.max(completeSince, since)
    if (info.runId !== undefined) known = info
    isIdentified = true
  }

  /** `completeSince` for the first server of this process. */
  async function completeSinceOf(info: ServerInfo, now: number): Promise<number> {
    if (info.runId === undefined) return Number.NEGATIVE_INFINITY
    if (info.uptime === undefined) return now
    const started = now - info.uptime
    return info.earlierReplicationId === undefined
      ? started
      : Math.max(started, now - (await masterFor(info)))
  }

  /** Seconds since a process first saw this server as a master. The server stores that time in a key. */
  async function masterFor({ runId, replicationId }: ServerInfo): Promise<number> {
    const key = `${prefix}master.${runId}.${replicationId}`
    if ((await redis.command('SET', key, '1', 'NX', 'EX', String(YEAR))) === 'OK') return 0
    const ttl = Number(await redis.command('TTL', key))
    return ttl > 0 && ttl <= YEAR ? YEAR - ttl : 0
  }

  return {
    get isIdentified() {
      return isIdentified
    },
    get connection() {
      return connection
    },
    get completeSince() {
      return completeSince
    },
    identify,
    invalidate() {
      connection += 1
      isIdentified = false
    },
  }
}

/** Whether the server was restarted, replaced or promoted since `known` was read. */
function mayHaveLostData(info: ServerInfo, known: ServerInfo): boolean {
  if (info.runId !== known.runId) return true
  // A master that drops its replication backlog also gets a new id, but has no earlier one.
  return info.replicationId !== known.replicationId && info.earlierReplicationId !== undefined
}
