import { split } from 'shlex'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import { lintNames } from '../../../src/cli/check/finding.js'
import { type BuiltCommand, buildCommand } from '../../support/cli/command.js'
import { blocksOf, documents, tableUnder } from '../../support/docs/markdown.js'

// Every command `npx ajwt` of the documentation, typed in a folder that has the files it names.

let command: BuiltCommand
beforeAll(() => {
  command = buildCommand()
  const routes = {
    'GET /orders/:id': { scope: 'orders:read' },
    'POST /orders/:id/refund': { scope: 'orders:refund' },
  }
  const policy = { issuer: ISSUER, audience: AUDIENCE, routes }
  command.write('policy.json', policy)
  command.write('new-policy.json', { ...policy, routes: { ...routes, 'GET /orders/:id': 'authenticated' } })
  command.write('rules.json', { refund: { scope: 'orders:refund' } })
  command.write('openapi.yaml', 'openapi: 3.1.0\npaths:\n  /orders/{id}:\n    get: {}\n')
  command.write('agent.json', { id: 'agent-7', prompt: 'Sell.', tools: [], config: {} })
  command.write('jwks.json', issuerJwks())
  const kit = createKit()
  const { method, url, headers } = kit.call({ token: { claims: { aud: 'https://billing.example.com' } } })
  const fields = headers.map(([name, value]) => ({ name, value }))
  const startedDateTime = new Date(kit.now).toISOString()
  const request = { method, url: AUDIENCE + url, headers: fields }
  command.write('session.har', {
    log: { entries: [{ startedDateTime, request, response: { status: 401 } }] },
  })
  const attributes = [
    { key: 'http.request.method', value: { stringValue: method } },
    { key: 'url.path', value: { stringValue: url } },
    ...headers.map(([name, value]) => ({
      key: `http.request.header.${name.toLowerCase()}`,
      value: { arrayValue: { values: [{ stringValue: value }] } },
    })),
  ]
  command.write('spans.json', { name: method, attributes })
}, 60_000)
afterAll(() => command.remove())

const blocks = documents.flatMap(blocksOf)
const lines = blocks
  .filter(({ language }) => language === 'sh')
  .flatMap(({ file, code }) => code.split('\n').map((line) => [file, line.trim()] as const))
  .filter(([, line]) => line.startsWith('npx ajwt '))

const type = (line: string) => command.run(split(line).slice(2))

describe('the commands of the documentation', () => {
  it.each(lines)('%s: %s', async (_, line) => {
    const { status, stdout, stderr } = await type(line)
    expect([line, status === 0 || status === 1, stderr]).toEqual([line, true, stderr])
    expect(stdout + stderr).not.toBe('')
  })

  const outputs = blocks.flatMap(({ directive, code, file }) => {
    const line = /^output: (.+)$/.exec(directive ?? '')?.[1]
    return line === undefined ? [] : [[file, line, code] as const]
  })
  it.each(outputs)('%s shows what is printed by %s', async (_, line, code) => {
    expect((await type(line)).stdout.slice(0, code.length)).toBe(code)
  })

  it('are there, with their output', () => {
    expect([lines.length > 10, outputs.length > 1]).toEqual([true, true])
  })
})

it('docs/command-line.md names every command and every lint', async () => {
  const { stdout } = await command.run(['--help'])
  const commands = [...stdout.matchAll(/^ {2}(\w+)[ \n]/gm)]
    .map(([, name]) => name)
    .filter((name) => name !== 'help')
  expect(commands.length).toBeGreaterThan(6)
  const named = (heading: string) =>
    tableUnder('docs/command-line.md', heading).map(([cell = '']) => /`([^`]+)`/.exec(cell)?.[1])
  expect(named('Command line').sort()).toEqual(commands.sort())
  expect(named('Check a policy').sort()).toEqual([...lintNames].sort())
  const explain = (await command.run(['explain', '--help'])).stdout
  const options = [...explain.matchAll(/^ {2}(--[\w-]+)/gm)].map(([, name]) => name)
  const documented = tableUnder('docs/command-line.md', 'Explain a request').flatMap(([cell = '']) =>
    [...cell.matchAll(/`(--[\w-]+)`/g)].map(([, name]) => name),
  )
  const elsewhere = ['--policy', '--entry', '--json']
  expect(options.filter((name) => !documented.includes(name) && !elsewhere.includes(name ?? ''))).toEqual([])
})
