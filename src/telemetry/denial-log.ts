import type { Decision } from '../decision.js'
import { isPromiseLike } from '../lib/promise.js'
import type { DecisionFacts } from './facts.js'

/** A logger such as `console`, or one of pino. */
export interface DenialLogger {
  warn(...args: unknown[]): unknown
}

/** Writes one line for a denial. */
export type DenialLog = (decision: Decision, facts: DecisionFacts) => void

/**
 * The log of the option `log`, and of `NODE_DEBUG=ajwt`, which writes to standard error. Undefined where there is
 * neither.
 */
export function createDenialLog(logger: DenialLogger | undefined): DenialLog | undefined {
  const debug = debugLog()
  if (logger === undefined && debug === undefined) return undefined
  return (decision, facts) => {
    if (!('code' in decision)) return
    const line = formatDenial(decision, facts)
    debug?.(line)
    if (logger === undefined) return
    const { outcome, code, stage, status } = decision
    const result = isPino(logger)
      ? logger.warn({ outcome, code, stage, status, ...facts }, line)
      : logger.warn(line)
    // A rejection that nobody handles would end the process.
    if (isPromiseLike(result)) result.then(undefined, () => {})
  }
}

type Denied = Extract<Decision, { code: unknown }>

/** One line, whatever the values: they are cut and printable already, and those of a caller stand in quotes. */
function formatDenial({ outcome, code, stage, status }: Denied, facts: DecisionFacts): string {
  const { method, route, agent, workflow, traceId, overrules, cause } = facts
  const pairs: readonly (readonly [string, unknown])[] = [
    ['agent', agent],
    ['route', `${method} ${route ?? '(undeclared)'}`],
    ['workflow', workflow],
    ['trace', traceId],
    ['overrules', overrules],
    ['reason', cause?.reason],
    ['issuer', cause?.issuer],
    ['claim', cause?.claim],
    ['expected', cause?.expected],
    [cause?.unverified ? 'found_unverified' : 'found', cause?.found],
  ]
  const told = pairs.flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${JSON.stringify(value)}`],
  )
  return [`ajwt ${outcome} ${status} ${code} stage=${stage}`, ...told].join(' ')
}

/** Pino takes the fields in front of the text; other loggers would print them in lines of their own. */
function isPino(logger: DenialLogger): boolean {
  const { child, bindings } = logger as { child?: unknown; bindings?: unknown }
  return typeof child === 'function' && typeof bindings === 'function'
}

/** `debuglog` of Node, Deno and Bun, where the environment asks for it. */
function debugLog(): ((line: string) => void) | undefined {
  try {
    const log = globalThis.process?.getBuiltinModule?.('node:util')?.debuglog('ajwt')
    return log?.enabled ? log : undefined
  } catch {
    return undefined
  }
}
