import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { formatTree, type RejectionSpan } from '../../../fixtures/demo/trace.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

const span = (stage: string, code: string, more: RejectionSpan['attributes'] = {}): RejectionSpan => ({
  name: 'ajwt.verify',
  duration: [0, 250_400],
  attributes: { 'ajwt.stage': stage, 'ajwt.code': code, 'http.request.method': 'GET', ...more },
})

it('the tree has each rejection under its stage', () => {
  const spans = [
    span('rule', 'scope_insufficient', { 'http.route': '/orders/:id', 'ajwt.agent.id': 'planner' }),
    span('token', 'token_expired'),
    span('token', 'key_not_found'),
    { ...span('token', 'other'), name: 'GET' },
  ]
  expect(formatTree(spans)).toBe(
    [
      'ajwt.verify: 3 rejections, by the stage that they came to',
      '├─ request: none',
      '├─ token',
      '│  ├─ token_expired  GET (undeclared)  250 µs',
      '│  └─ key_not_found  GET (undeclared)  250 µs',
      '├─ revocation: none',
      '├─ proof: none',
      '├─ delegation: none',
      '└─ rule',
      '   └─ scope_insufficient  GET /orders/:id  250 µs  agent planner',
    ].join('\n'),
  )
})

it('the demo prints it where it is asked for', async () => {
  const run = promisify(execFile)
  const { stdout, stderr } = await run(
    process.execPath,
    ['--import', 'tsx', 'fixtures/demo/main.ts', '--trace'],
    {
      cwd: root,
    },
  )
  expect(stderr).toBe('')
  const tree = stdout.slice(stdout.indexOf('ajwt.verify: '))
  expect(tree).toMatch(/^│ {2}[├└]─ credentials_missing +GET \/orders\/:id/m)
  expect(tree).toMatch(/^│ {2}[├└]─ proof_replayed +GET \/orders\/:id .*agent \w+/m)
  expect(tree).toMatch(/^ {3}[├└]─ scope_insufficient +.*agent \w+, depth 0$/m)
})
