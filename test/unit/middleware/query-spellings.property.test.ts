import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { send } from '../../../fixtures/conformance/wire.js'
import { createVerifier, type HandlerRule } from '../../../src/index.js'
import { createTestIssuer } from '../../../src/testing/index.js'
import { apps, type MakeApp } from '../../support/content/apps.js'
import { listen } from '../../support/listen.js'

// In every spelling, the policy and the handler see one value of a parameter, or the request is refused.

const issuer = createTestIssuer()

/** Sends a request target as it is. Resolves to the query that the handler saw, or to undefined. */
async function serve(make: MakeApp, rule: HandlerRule<unknown>) {
  const verifier = createVerifier({
    issuer: issuer.policyIssuer,
    audience: issuer.audience,
    unmatched: 'authenticate',
    routes: { '* /refunds': 'authenticated' },
  })
  const { origin, close } = await listen(make(verifier, rule))
  const port = Number(new URL(origin).port)
  return {
    close,
    async queryAt(target: string): Promise<Record<string, unknown> | undefined> {
      const url = target.replace(/[?].*/s, '')
      const credentials = Object.entries(
        issuer.headers({ method: 'GET', url: encodeURI(url).replace('#', '%23') }),
      )
      const plain = Object.entries(issuer.headers({ method: 'GET', url: '/refunds' }))
      const headers = /[;#]/.test(url) ? credentials : plain
      const { status, body } = await send(port, { method: 'GET', url: target, headers })
      return status === 200 ? JSON.parse(body).query : undefined
    },
  }
}

const pieces = fc.constantFrom(
  ...['amount', 'amount', '%61mount', 'amount[]', '[amount]', 'amount[a]', 'amount%5B%5D', 'amount.x', 'x'],
  ...[
    '=',
    '=',
    '=',
    '=5',
    '=500',
    '5',
    '&',
    '&',
    '&',
    ';',
    '#',
    '?',
    '+',
    '%',
    '%5B',
    ']',
    ']=',
    '%26',
    '%3D',
  ],
)
const targets = fc
  .tuple(fc.constantFrom('?', '?', '?', ';', '#', ''), fc.array(pieces, { minLength: 1, maxLength: 7 }))
  .map(([delimiter, rest]) => `/refunds${delimiter}${rest.join('')}`)

const attacks = [
  '/refunds;amount=500',
  '/refunds;x?amount=5',
  '/refunds#amount=500',
  '/refunds?amount=5#&amount=500',
  '/refunds?amount=5;amount=500',
  '/refunds;amount=500?amount=5',
]

describe.each(Object.entries(apps))('A263 a query on %s', (_, make) => {
  const servers: Awaited<ReturnType<typeof serve>>[] = []
  beforeAll(async () => {
    servers.push(await serve(make, { query: { amount: { max: 50 } } }))
    servers.push(await serve(make, { query: { amount: { exists: false } } }))
  })
  afterAll(() => {
    for (const { close } of servers) close()
  })

  const check = async (target: string) => {
    const [limited, without] = await Promise.all(servers.map(({ queryAt }) => queryAt(target)))
    if (limited !== undefined)
      expect([target, limited.amount]).toEqual([target, expect.stringMatching(/^[0-4]?\d$|^50$/)])
    if (without !== undefined)
      expect([target, Object.keys(without)]).not.toEqual([target, expect.arrayContaining(['amount'])])
  }

  test.for(attacks)('%s', check)

  test('any spelling', { timeout: 60_000 }, async () => {
    await fc.assert(fc.asyncProperty(targets, check), { numRuns: 150 })
  })
})
