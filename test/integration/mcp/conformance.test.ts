import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AUDIENCE, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import { folderOf, needs } from '../../support/installed.js'
import { mcpApp } from '../../support/mcp/apps.js'
import { loadMcpPackages } from '../../support/mcp/packages.js'
import { startSigningProxy } from '../../support/mcp/signing-proxy.js'

// The scenarios for servers of @modelcontextprotocol/conformance, against a protected server. The suite cannot
// send credentials, so a proxy signs its requests.

const packages = await loadMcpPackages()

/** Scenarios of the suite's active set that fail, with the reason. */
const EXPECTED_FAILURES: Readonly<Record<string, string>> = {}

describe.skipIf(packages === undefined)(`the conformance suite of MCP${needs('mcp')}`, () => {
  const http = createServer()
  const results = new Map<string, string>()
  const closers: (() => void | Promise<void>)[] = [() => http.closeAllConnections(), () => void http.close()]

  beforeAll(async () => {
    if (packages === undefined) return
    const backend = packages.startEverything()
    closers.push(backend.close)
    const policy = {
      issuer: { url: ISSUER, jwks: issuerJwks() },
      audience: AUDIENCE,
      routes: { '* /mcp': 'authenticated' },
    } as const
    http.on('request', mcpApp('Express', { policy, rules: EVERYTHING, backend }, packages.apps, 1))
    await once(http.listen(0, '127.0.0.1'), 'listening')
    const proxy = await startSigningProxy((http.address() as AddressInfo).port)
    closers.push(proxy.close)
    for (const [, name = '', result = ''] of (await runSuite(`${proxy.origin}/mcp`)).matchAll(LINE))
      results.set(name, result)
  })
  afterAll(async () => {
    for (const close of closers) await close()
  })

  it('every scenario for servers passes', () => {
    const failed = [...results].filter(([, result]) => !result.endsWith(' 0 failed'))
    expect(failed.map(([name]) => name)).toEqual(Object.keys(EXPECTED_FAILURES))
    expect(results.size).toBe(30)
  })
})

/** One line of the summary: the name of a scenario, and the numbers of its checks. */
const LINE = /^[✓✗] (\S+): (\d+ passed, \d+ failed)$/gm

const EVERYTHING = {
  tools: Object.fromEntries(
    [
      ...['simple_text', 'image_content', 'audio_content', 'embedded_resource', 'multiple_content_types'],
      ...['tool_with_logging', 'tool_with_progress', 'error_handling', 'sampling'],
      ...['elicitation', 'elicitation_sep1034_defaults', 'elicitation_sep1330_enums'],
    ].map((name) => [`test_${name}`, {}]),
  ),
  prompts: {
    test_simple_prompt: {},
    test_prompt_with_arguments: {},
    test_prompt_with_embedded_resource: {},
    test_prompt_with_image: {},
  },
  resources: { 'test://*': {} },
  methods: { 'logging/setLevel': 'authenticated' },
} as const

function runSuite(url: string): Promise<string> {
  const command = 'node_modules/@modelcontextprotocol/conformance/dist/index.js'
  const args = ['--import', './node-20.mjs', command, 'server', '--url', url]
  // The exit code is 1 where a scenario fails: the summary says which.
  return new Promise((resolve) =>
    execFile(process.execPath, args, { cwd: folderOf('mcp') }, (_, stdout, stderr) =>
      resolve(stdout + stderr),
    ),
  )
}
