import { performance } from 'node:perf_hooks'
import { createAgents } from '../../testing/agent.js'
import { generateKey } from '../../testing/key.js'
import { runAttacks } from '../../testing/run-attacks.js'
import { createTokenFactory } from '../../testing/token-factory.js'
import { createVerifier, type Verifier } from '../../verifier.js'
import { renderExplanation } from '../explain/render.js'
import { groupFields } from '../request/captured.js'
import { type Terminal, wrap } from '../terminal.js'
import { UsageError } from '../usage-error.js'
import { createTrace } from './trace.js'

export interface DemoOptions {
  readonly trace?: boolean
  /** Numbers of rows, or parts of their names. */
  readonly explain?: readonly string[]
}

const issuer = 'https://as.example.com'
const audience = 'https://orders.example.com'
const route = 'POST /orders/:id/refund'
const rule = { scope: 'orders:refund', intent: { workflow: 'refund', step: 'issue' } } as const

/** One line of the demo, with the last request that belongs to it. */
interface Row {
  readonly name: string
  readonly got: string
  readonly ok: boolean
  readonly request: Request | undefined
}

/** Tells what the library does: an honest request and every attack of `ajwt/testing`, in this process. */
export async function demo(
  { trace: isTraced, explain = [] }: DemoOptions,
  terminal: Terminal,
): Promise<number> {
  const { bold } = terminal.colors
  const trace = createTrace()
  const key = generateKey()
  const kid = 'demo'
  const verifier = createVerifier(
    {
      issuer: { url: issuer, jwks: { keys: [{ ...key.jwk, kid, alg: 'ES256', use: 'sig' }] } },
      audience,
      workflows: { refund: { steps: ['look', 'issue'] } },
      routes: { [route]: rule },
    },
    { onDecision: trace.record },
  )
  introduce(terminal)
  const started = performance.now()
  const rows: Row[] = []
  let request: Request | undefined
  const api = async (received: Request) => {
    request = received
    const decision = await verifier.verify(received)
    return verifier.respond(decision) ?? Response.json({ refunded: 42 })
  }
  const agents = createAgents(audience, Date.now)
  const factory = createTokenFactory({
    issuer,
    audience,
    publicUrl: audience,
    key,
    kid,
    agents,
    now: Date.now,
  })
  const target = {
    method: 'POST',
    url: '/orders/42/refund',
    agent: 'refund-agent',
    scope: 'orders:refund',
    intent: { workflow: 'refund', step: 'issue', completedSteps: ['look'] },
  }
  // Each line as soon as it is known.
  await runAttacks(factory, api, target, ({ name, got, ok }) => {
    rows.push({ name, got, ok, request })
    printRow(rows.length, { name, got, ok, request }, terminal)
    request = undefined
  })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  const right = rows.filter(({ ok }) => ok).length
  terminal.print('')
  terminal.print(bold(`${right} of ${rows.length} as expected, in ${seconds} s.`))
  if (isTraced) terminal.print(`\n${trace.tree(terminal)}`)
  try {
    for (const text of explain) terminal.print(`\n${await explainRow(text, rows, verifier, terminal)}`)
  } finally {
    verifier.close()
  }
  if (!isTraced && explain.length === 0)
    say(
      'Next: --explain 7 tells every check of a row, --trace shows what an operator sees. npx ajwt curl and npx ajwt explain do the same for your policy. The repository has a demo with a real authorization server: npm run demo.',
      terminal,
    )
  return right === rows.length ? 0 : 1
}

function introduce(terminal: Terminal): void {
  const { bold } = terminal.colors
  say('An issuer, an API with one rule, and an agent, all in this process. The rule:', terminal)
  terminal.print(bold(`  ${JSON.stringify(route)}:`))
  terminal.print(bold(`    ${JSON.stringify(rule)}`))
  terminal.print('')
  say(
    'The agent asks the issuer for a token, for one step of one workflow, bound to its key. It signs each request. Then attackers try what they can: stolen, forged, replayed and widened credentials.',
    terminal,
  )
  terminal.print('')
}

function say(text: string, terminal: Terminal): void {
  for (const line of wrap(text, terminal.columns)) terminal.print(line)
}

function printRow(number: number, { name, got, ok }: Row, { print, colors, columns }: Terminal): void {
  const width = Math.max(20, columns - 42)
  const [first = '', ...rest] = wrap(name, width)
  const mark = ok ? colors.green('ok') : colors.red('!!')
  print(`${mark} ${String(number).padStart(3)}  ${first.padEnd(width)}  ${got}`)
  for (const line of rest) print(`        ${line}`)
}

/** Every check of the last request of a row, by its number or a part of its name. */
async function explainRow(
  text: string,
  rows: readonly Row[],
  verifier: Verifier,
  terminal: Terminal,
): Promise<string> {
  const row = /^\d+$/.test(text) ? rows[Number(text) - 1] : rows.find(({ name }) => name.includes(text))
  if (row === undefined)
    throw new UsageError(
      `--explain ${text}: there is no such row: give a number up to ${rows.length}, or a part of a name`,
    )
  const title = terminal.colors.bold(`${rows.indexOf(row) + 1}: ${row.name}`)
  const { request } = row
  if (request === undefined) return `${title}\nNo request of this row came to the API.`
  const captured = { method: request.method, url: request.url, headers: groupFields(request.headers) }
  const explanation = await verifier.explain(request)
  const { policy } = verifier
  const report = { explanation, policy, captured, at: undefined, problem: undefined, hint: undefined }
  return `${title}\n${renderExplanation(report, terminal)}`
}
