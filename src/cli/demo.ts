import { performance } from 'node:perf_hooks'
import { createTestIssuer } from '../testing/index.js'
import { createVerifier } from '../verifier.js'
import { type Terminal, wrap } from './terminal.js'

const audience = 'https://orders.example.com'
const route = 'POST /orders/:id/refund'
const rule = { scope: 'orders:refund', intent: { workflow: 'refund', step: 'issue' } } as const

/** Tells what the library does: an honest request and every attack of `ajwt/testing`, in this process. */
export async function demo(terminal: Terminal): Promise<number> {
  const { bold, dim, green, red } = terminal.colors
  const say = (text: string) => {
    for (const line of wrap(text, terminal.columns)) terminal.print(line)
  }
  const issuer = createTestIssuer({ audience })
  const verifier = createVerifier({
    issuer: issuer.policyIssuer,
    audience,
    workflows: { refund: { steps: ['look', 'issue'] } },
    routes: { [route]: rule },
  })
  const api = async (request: Request) => {
    const decision = await verifier.verify(request)
    return verifier.respond(decision) ?? Response.json({ refunded: 42 })
  }

  say('An issuer, an API with one rule, and an agent, all in this process. The rule:')
  terminal.print(bold(`  ${JSON.stringify(route)}:`))
  terminal.print(bold(`    ${JSON.stringify(rule)}`))
  terminal.print('')
  say(
    'The agent asks the issuer for a token, for one step of one workflow, bound to its key. It signs each request. Then attackers try what they can: stolen, forged, replayed and widened credentials.',
  )
  terminal.print('')
  if (terminal.isInteractive) terminal.remark(dim('Attacking …'))
  const started = performance.now()
  const rows = await issuer.attacks(api, {
    method: 'POST',
    url: '/orders/42/refund',
    agent: 'refund-agent',
    scope: 'orders:refund',
    intent: { workflow: 'refund', step: 'issue', completedSteps: ['look'] },
  })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  verifier.close()

  const width = Math.max(20, terminal.columns - 38)
  for (const { name, got, ok } of rows) {
    const [first = '', ...rest] = wrap(name, width)
    const mark = ok ? green('ok') : red('!!')
    terminal.print(`${mark}  ${first.padEnd(width)}  ${got}`)
    for (const line of rest) terminal.print(`    ${line}`)
  }
  const right = rows.filter(({ ok }) => ok).length
  terminal.print('')
  terminal.print(bold(`${right} of ${rows.length} as expected, in ${seconds} s.`))
  say(
    'Next: npx ajwt curl and npx ajwt explain show one request in detail. The repository has a demo with a real authorization server: npm run demo.',
  )
  return right === rows.length ? 0 : 1
}
