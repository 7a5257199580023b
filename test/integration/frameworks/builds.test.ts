import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root } from '../../support/docs/markdown.js'
import { openWorkspace, type Served, type Workspace } from '../../support/frameworks.js'
import { isInstalled, needs } from '../../support/installed.js'

// The apps of docs/integrations.md that are built first: each is built as a user would build it, and asked
// over a socket.

const here = isInstalled('frameworks')
const note = needs('frameworks')
let workspace: Workspace

beforeAll(() => {
  if (here) workspace = openWorkspace()
}, 60_000)
afterAll(() => workspace?.remove())

const denied = (code: string) => expect.objectContaining({ code })
const mayRefund = { scope: 'orders:read orders:refund' }

/** The responses of both apps. */
async function answersAsWritten({ ask }: Served): Promise<void> {
  expect(await ask('GET', '/orders/17')).toEqual([200, { order: '17', readBy: 'agent-7' }])
  expect(await ask('GET', '/orders/17', { claims: null })).toEqual([401, denied('credentials_missing')])
  expect(await ask('GET', '/orders/17', { claims: { scope: 'other' } })).toEqual([
    403,
    denied('scope_insufficient'),
  ])
  expect(await ask('POST', '/orders/17')).toEqual([403, denied('scope_insufficient')])
  expect(await ask('POST', '/orders/17', { claims: mayRefund })).toEqual([200, { refunded: '17' }])
  expect(await ask('HEAD', '/orders/17', { claims: null })).toEqual([401, ''])
}

/** No spelling of a path reaches a handler without credentials. */
async function deniesSpellings({ ask }: Served): Promise<void> {
  const paths = [
    '/ORDERS/17',
    '/orders/17/',
    '/%6frders/17',
    '/orders/%31%37',
    '/orders/a%2fb',
    '/orders/17?_method=POST',
  ]
  for (const path of paths) {
    for (const method of ['GET', 'POST', 'PUT']) {
      const [status, body] = await ask(method, path, {
        claims: null,
        headers: { accept: 'application/json' },
      })
      expect([method, path, JSON.stringify(body)]).not.toEqual([
        method,
        path,
        expect.stringMatching(/order"|refunded/),
      ])
      expect([method, path, status >= 400]).toEqual([method, path, true])
    }
  }
}

describe.skipIf(!here)(`Next.js${note}`, () => {
  let served: Served
  beforeAll(async () => {
    workspace.write('next')
    workspace.add('next/package.json', '{ "type": "module" }')
    workspace.add('next/next.config.js', `export default { turbopack: { root: ${JSON.stringify(root)} } }`)
    const next = workspace.bin('next/dist/bin/next')
    workspace.node('next', next, 'build')
    served = await workspace.serve('next', [next, 'start'])
  }, 240_000)

  it('answers as the document says', () => answersAsWritten(served))
  it('has no other way to a handler', () => deniesSpellings(served))

  it('takes no path that a header names', async () => {
    const [status] = await served.ask('GET', '/orders/17', {
      claims: null,
      headers: {
        'x-middleware-subrequest': 'middleware',
        'x-invoke-path': '/health',
        'x-original-url': '/health',
      },
    })
    expect(status).toBe(401)
  })
})

describe.skipIf(!here)(`SvelteKit${note}`, () => {
  let served: Served
  beforeAll(async () => {
    workspace.write('svelte')
    workspace.add('svelte/package.json', '{ "type": "module" }')
    workspace.add(
      'svelte/src/app.html',
      '<html><head>%sveltekit.head%</head><body>%sveltekit.body%</body></html>',
    )
    workspace.add(
      'svelte/svelte.config.js',
      `import adapter from '@sveltejs/adapter-node'\nexport default { kit: { adapter: adapter() } }`,
    )
    workspace.add(
      'svelte/vite.config.js',
      `import { sveltekit } from '@sveltejs/kit/vite'\nexport default { plugins: [sveltekit()], logLevel: 'error' }`,
    )
    workspace.node('svelte', workspace.bin('vite/bin/vite.js'), 'build')
    served = await workspace.serve('svelte', ['build/index.js'])
  }, 240_000)

  it('answers as the document says', () => answersAsWritten(served))
  it('has no other way to a handler', () => deniesSpellings(served))

  it('denies a route that the policy does not have', async () => {
    expect(await served.ask('GET', '/elsewhere')).toEqual([403, denied('route_not_declared')])
    expect(await served.ask('GET', '/orders/17/__data.json', { claims: null })).toEqual([
      401,
      denied('credentials_missing'),
    ])
  })
})
