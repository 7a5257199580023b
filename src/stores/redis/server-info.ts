/** What `INFO` says about the server at the other end. Every member is absent where the server does not tell. */
export interface ServerInfo {
  /** A new one for each start of each server process. */
  readonly runId: string | undefined
  readonly role: string | undefined
  /** Seconds for which the server process has been up at least, by its own clock. */
  readonly uptime: number | undefined
  /** The history of data that the server continues. */
  readonly replicationId: string | undefined
  /** The history that it continued before it was made a master; absent where it has always been one. */
  readonly earlierReplicationId: string | undefined
}

const warned = new Set<string>()

/**
 * Asks the server who it is, and warns once per process where its `maxmemory-policy` may throw out entries that
 * must stay. A server that forbids `INFO` to this user answers nothing, which is told once as well.
 */
export async function serverInfo(command: (...args: string[]) => Promise<unknown>): Promise<ServerInfo> {
  let info: unknown
  try {
    info = await command('INFO')
  } catch (error) {
    if (!(error instanceof Error) || !/^(?:NOPERM|ERR unknown command)/.test(error.message)) throw error
    warnOnce(
      'AJWT_REDIS_INFO',
      'ajwt/redis: INFO is refused, so a server that evicts entries or has lost them is not noticed.',
    )
    return NOTHING
  }
  if (typeof info !== 'string') throw new Error('ajwt/redis: unexpected reply to INFO')
  const policy = field(info, 'maxmemory_policy')
  if (policy !== undefined && policy !== 'noeviction') {
    warnOnce(
      'AJWT_REDIS_EVICTION',
      `ajwt/redis: maxmemory-policy is ${policy}, so Redis may forget proofs and revocations while they matter. Set it to noeviction.`,
    )
  }
  const earlier = field(info, 'master_replid2')
  return {
    runId: field(info, 'run_id'),
    role: field(info, 'role'),
    uptime: leastUptime(info),
    replicationId: field(info, 'master_replid'),
    earlierReplicationId: earlier === undefined || /^0*$/.test(earlier) ? undefined : earlier,
  }
}

const NOTHING: ServerInfo = {
  runId: undefined,
  role: undefined,
  uptime: undefined,
  replicationId: undefined,
  earlierReplicationId: undefined,
}

/** `uptime_in_seconds` is the difference of two times that were cut to whole seconds. */
function leastUptime(info: string): number | undefined {
  const uptime = Number(field(info, 'uptime_in_seconds'))
  const microseconds = Number(field(info, 'server_time_usec') ?? 0)
  const least = uptime - 1 + (microseconds % 1e6) / 1e6
  return Number.isFinite(least) ? Math.max(0, least) : undefined
}

function field(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1]
}

function warnOnce(code: string, message: string): void {
  if (warned.has(code)) return
  warned.add(code)
  process.emitWarning(message, { code })
}
