import type { SendCommand } from './client.js'

/** The reply to `INFO`. A member is undefined if the reply does not contain it. */
export interface ServerInfo {
  /** Different for each start of each server process. */
  readonly runId: string | undefined
  readonly role: string | undefined
  /** The minimum uptime of the server process, in seconds by its own clock. */
  readonly uptime: number | undefined
  /** `master_replid`: the replication history of the server. */
  readonly replicationId: string | undefined
  /** `master_replid2`: the replication history before the server was promoted to a master. */
  readonly earlierReplicationId: string | undefined
}

const sentWarnings = new Set<string>()

/**
 * Sends `INFO`. Warns once per process if the `maxmemory-policy` allows Redis to evict entries, or if the
 * user may not run `INFO`.
 */
export async function serverInfo(command: SendCommand): Promise<ServerInfo> {
  let info: unknown
  try {
    info = await command('INFO')
  } catch (error) {
    if (!(error instanceof Error) || !/^(?:NOPERM|ERR unknown command)/.test(error.message)) throw error
    warnOnce(
      'AJWT_REDIS_INFO',
      'ajwt/redis: the Redis user may not run INFO, so ajwt cannot notice lost or evicted entries. ' +
        'Allow INFO for this user.',
    )
    return UNKNOWN
  }
  if (typeof info !== 'string') throw new Error('ajwt/redis: unexpected reply to INFO')
  const policy = field(info, 'maxmemory_policy')
  if (policy !== undefined && policy !== 'noeviction') {
    warnOnce(
      'AJWT_REDIS_EVICTION',
      `ajwt/redis: maxmemory-policy is ${policy}, so Redis may evict proofs and revocations too early. ` +
        'Set it to noeviction.',
    )
  }
  const earlier = field(info, 'master_replid2')
  return {
    runId: field(info, 'run_id'),
    role: field(info, 'role'),
    uptime: minimumUptime(info),
    replicationId: field(info, 'master_replid'),
    earlierReplicationId: earlier === undefined || /^0*$/.test(earlier) ? undefined : earlier,
  }
}

const UNKNOWN: ServerInfo = {
  runId: undefined,
  role: undefined,
  uptime: undefined,
  replicationId: undefined,
  earlierReplicationId: undefined,
}

/**
 * `uptime_in_seconds` is the difference between two times that were rounded down, so it may be 1 s too long.
 */
function minimumUptime(info: string): number | undefined {
  const uptime = Number(field(info, 'uptime_in_seconds'))
  const microseconds = Number(field(info, 'server_time_usec') ?? 0)
  const minimum = uptime - 1 + (microseconds % 1e6) / 1e6
  return Number.isFinite(minimum) ? Math.max(0, minimum) : undefined
}

function field(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1]
}

function warnOnce(code: string, message: string): void {
  if (sentWarnings.has(code)) return
  sentWarnings.add(code)
  process.emitWarning(message, { code })
}
