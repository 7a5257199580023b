import type { ExplainedCheck, Explanation } from '../../explain/explanation.js'
import { isObject } from '../../lib/objects.js'
import { printable } from '../../lib/sanitize.js'
import type { Policy } from '../../policy/policy.js'
import { parseRouteKey } from '../../policy/route-key.js'
import { redact as withoutSecrets } from '../../refusal.js'
import type { CapturedRequest } from '../request/captured.js'
import { type Terminal, wrap } from '../terminal.js'

/** The content of the report. */
export interface ExplanationReport {
  readonly explanation: Explanation
  readonly policy: Policy
  readonly captured: CapturedRequest
  /** Milliseconds since the epoch; undefined: now. */
  readonly at: number | undefined
  /** Why the replay store could not take the proof. */
  readonly problem: string | undefined
  /** The most probable fault that no check can name. */
  readonly hint: string | undefined
}

const labelWidth = 11

/** For people: the verdict and its cause first, then every check. No line is longer than the terminal. */
export function renderExplanation(report: ExplanationReport, terminal: Terminal): string {
  const { stages } = report.explanation
  const failed = stages
    .flatMap(({ stage, checks }) => checks.map((check) => ({ stage, check })))
    .find(({ check }) => check.outcome === 'failed')
  return [
    ...verdictOf(report, terminal),
    ...(failed === undefined ? [] : ['', ...causeOf(failed.stage, failed.check, terminal)]),
    ...labelled('hint', report.hint, terminal, terminal.colors.cyan),
    ...(report.problem === undefined ? [] : ['', ...labelled('store', report.problem, terminal)]),
    '',
    ...stages.flatMap(({ stage, checks }) => [
      terminal.colors.bold(stage),
      ...checks.map((check) => lineOf(check, terminal)),
    ]),
  ].join('\n')
}

function verdictOf(
  { explanation: { decision }, policy, captured, at }: ExplanationReport,
  terminal: Terminal,
): string[] {
  const { green, red, yellow, bold } = terminal.colors
  const request = `${printable(captured.method)} ${printable(withoutSecrets(pathOf(captured.url)))}`
  const key = keyOf(policy, captured.method, 'route' in decision ? decision.route : grantRoute(decision))
  const lines = [
    ...labelled('request', request, terminal),
    ...labelled('entry', captured.source && printable(captured.source), terminal),
    ...labelled('key', key ?? 'no key of routes', terminal),
    ...labelled(
      'time',
      `${new Date(at ?? Date.now()).toISOString()}${at === undefined ? ' (now)' : ''}`,
      terminal,
    ),
  ]
  if (!('code' in decision)) return [bold(green(titles[decision.outcome])), ...lines]
  const title = `${titles[decision.outcome]} ${decision.status} ${decision.code}`
  const color = decision.outcome === 'observe' ? yellow : red
  return [bold(color(title)), ...wrap(decision.description, terminal.columns), ...lines]
}

const titles = {
  allow: 'ALLOWED',
  public: 'PUBLIC: allowed without any check',
  anonymous: 'ANONYMOUS: allowed without a grant',
  deny: 'DENIED',
  observe: 'OBSERVED, and so let through without a grant:',
} as const

function causeOf(stage: string, check: ExplainedCheck, terminal: Terminal): string[] {
  const { red, cyan } = terminal.colors
  const found =
    check.found === undefined ? undefined : `${check.found}${check.unverified ? ' (unverified)' : ''}`
  return [
    ...labelled('failed', `${stage}: ${check.name}`, terminal, red),
    ...labelled('why', check.reason, terminal),
    ...labelled('expected', check.expected, terminal),
    ...labelled('found', found, terminal),
    ...labelled('clause', check.clause, terminal),
    ...labelled('what to do', check.advice, terminal, cyan),
  ]
}

function labelled(
  label: string,
  text: string | undefined,
  { columns, colors }: Terminal,
  color: (text: string) => string = (plain) => plain,
): string[] {
  if (text === undefined) return []
  const indent = ' '.repeat(labelWidth + 1)
  // A word that is copied, such as a checksum, is not to be broken.
  if (text.split(' ').some((word) => word.length > columns - indent.length))
    return [colors.dim(label), ...wrap(text, columns - 2).map((line) => `  ${color(line)}`)]
  const [first = '', ...rest] = wrap(text, columns - indent.length)
  return [
    `${colors.dim(label.padEnd(labelWidth))} ${color(first)}`,
    ...rest.map((line) => indent + color(line)),
  ]
}

const marks = { passed: 'ok', failed: 'FAILED', not_reached: '-', not_checked: '?' } as const
const words = { passed: '', failed: '', not_reached: 'not reached', not_checked: 'not checked here' } as const

function lineOf({ name, outcome, expected, found, unverified }: ExplainedCheck, terminal: Terminal): string {
  const { green, red, yellow, dim } = terminal.colors
  const color = { passed: green, failed: red, not_reached: dim, not_checked: yellow }[outcome]
  const values =
    outcome === 'not_reached'
      ? ''
      : [found, unverified && found ? '(unverified)' : ''].filter(Boolean).join(' ')
  const line =
    outcome === 'not_checked' ? `${words[outcome]}: ${found ?? expected}` : values || words[outcome]
  const head = `  ${marks[outcome].padEnd(7)}${name.padEnd(14)} `
  const room = terminal.columns - head.length
  const cut = line.length > room ? `${line.slice(0, Math.max(0, room - 1))}…` : line
  return `${color(head)}${outcome === 'not_reached' ? dim(cut) : cut}`.trimEnd()
}

/** Never the query: it may hold a secret. */
function pathOf(url: string): string {
  return url.replace(/[?#].*$/s, '').replace(/\/\/[^/]*@/, '//')
}

function grantRoute(decision: Explanation['decision']): string | undefined {
  return decision.outcome === 'allow' ? decision.grant.route : undefined
}

/** The key of `routes` whose pattern has matched. */
export function keyOf(policy: Policy, method: string, route: string | undefined): string | undefined {
  if (route === undefined) return undefined
  const matching = Object.keys(policy.routes).flatMap((key) => {
    const parsed = parseRouteKey(key)
    return parsed?.path === route ? [parsed] : []
  })
  const named = (name: string) => matching.find(({ methods }) => methods.includes(name))?.key
  return named(method) ?? (method === 'HEAD' ? named('GET') : undefined) ?? named('*')
}

/** For programs. The claims of a grant are shown without keys and assertions. */
export function toJson({ explanation, problem, hint }: ExplanationReport): string {
  // Members that are undefined are left out. JSON leaves C1 controls and invisible characters as they are.
  return JSON.stringify({ ...explanation, problem, hint }, redact, 2).replace(unprintable, escapeCharacter)
}

const unprintable = /[\x7f-\x9f\p{Cf}\p{Zl}\p{Zp}]/gu

function escapeCharacter(character: string): string {
  return Array.from({ length: character.length }, (_, at) => character.charCodeAt(at))
    .map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`)
    .join('')
}

function redact(_: string, value: unknown): unknown {
  if (typeof value === 'string') return withoutSecrets(value)
  if (!isObject(value)) return value
  if (typeof value.kty === 'string') return '[key]'
  // A name may be a token too. A JWS in JSON has its signature in a member of its own (RFC 7515 section 7.2).
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      withoutSecrets(name),
      name === 'signature' && 'protected' in value ? '[signature]' : member,
    ]),
  )
}
