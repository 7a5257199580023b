/** What `INFO` says about the server at the other end. */
export interface ServerInfo {
  /** A new one for each start of each server process. */
  runId: string | undefined
  role: string | undefined
}

const warned = new Set<string>()

/**
 * Asks the server who it is, and warns once per process where its `maxmemory-policy` may throw out entries that
 * must stay. A server that forbids `INFO` to this user answers nothing, which is told once as well.
 */
export async function serverInfo(command: (...args: string[]) => Promise<unknown>): Promise<ServerInfo> {
  let text: unknown
  try {
    text = await command('INFO')
  } catch (error) {
    if (!(error instanceof Error) || !/^(?:NOPERM|ERR unknown command)/.test(error.message)) throw error
    warnOnce(
      'AJWT_REDIS_INFO',
      'ajwt/redis: INFO is refused, so a server that evicts entries or has lost them is not noticed.',
    )
    return { runId: undefined, role: undefined }
  }
  const info = String(text)
  const policy = field(info, 'maxmemory_policy')
  if (policy !== undefined && policy !== 'noeviction') {
    warnOnce(
      'AJWT_REDIS_EVICTION',
      `ajwt/redis: maxmemory-policy is ${policy}, so Redis may forget proofs and revocations while they matter. Set it to noeviction.`,
    )
  }
  return { runId: field(info, 'run_id'), role: field(info, 'role') }
}

function field(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1]
}

function warnOnce(code: string, message: string): void {
  if (warned.has(code)) return
  warned.add(code)
  process.emitWarning(message, { code })
}
