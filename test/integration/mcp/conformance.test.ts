import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { AUDIENCE, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import { folderOf, needs } from '../../support/installed.js'
import type { McpBackend, McpPackages } from '../../support/mcp/contract.js'
import { loadMcpPackages } from '../../support/mcp/packages.js'
import { mcpApp } from '../../support/mcp/sdk-apps.js'
import { startSigningProxy } from '../../support/mcp/signing-proxy.js'

// The scenarios for servers of @modelcontextprotocol/conformance, against a protected server. The suite
// cannot send credentials, so a proxy signs its requests.

const packages = await loadMcpPackages()

interface Suite {
  readonly name: string
  /** The folder of its package. */
  readonly folder: string
  readonly arguments: readonly string[]
  readonly start: (packages: McpPackages) => McpBackend
  readonly scenarios: number
  /** Scenarios that fail, with the reason. */
  readonly expectedFailures: Readonly<Record<string, string>>
}

const TASKS = [
  ...['lifecycle', 'capability-negotiation', 'wire-fields', 'request-state-removal', 'mrtr-input'],
  ...['request-headers', 'dispatch-and-envelope', 'required-task-error', 'mrtr-composition'],
]

const SUITES: readonly Suite[] = [
  {
    name: '0.1.16, the active scenarios, with sessions',
    folder: '@modelcontextprotocol/conformance',
    arguments: [],
    start: (all) => all.startEverything(),
    scenarios: 30,
    expectedFailures: {},
  },
  {
    name: '0.2.0-alpha.12, what 2026-07-28 requires',
    folder: 'conformance-next',
    arguments: ['--requirements', '2026-07-28'],
    start: (all) => all.startEverythingModern(),
    scenarios: 50,
    // None of them is required by the revision: the suite calls them extensions, or pending.
    expectedFailures: {
      ...Object.fromEntries(TASKS.map((name) => [`tasks-${name}`, 'the server has no tasks'])),
      'json-schema-2020-12': 'the server has no tool with such a schema',
      'http-custom-header-server-validation': 'the server has no tool whose arguments are also header fields',
    },
  },
]

describe.skipIf(packages === undefined)(`the conformance suite of MCP${needs('mcp')}`, () => {
  for (const suite of SUITES)
    it(suite.name, async () => {
      const results = await runSuite(suite)
      const failed = [...results].filter(([, result]) => !result.endsWith(' 0 failed'))
      expect(failed.map(([name]) => name)).toEqual(Object.keys(suite.expectedFailures))
      expect(results.size).toBe(suite.scenarios)
    }, 120_000)
})

/** One line of the summary: the name of a scenario, and the numbers of its checks. */
const LINE = /^[✓✗] (\S+): (\d+ passed, \d+ failed)/gm

async function runSuite(suite: Suite): Promise<Map<string, string>> {
  if (packages === undefined) throw new Error('test/mcp is not installed')
  const http = createServer()
  const backend = suite.start(packages)
  http.on('request', mcpApp('Express', { policy: POLICY, rules: EVERYTHING, backend }, packages.apps, 1))
  await once(http.listen(0, '127.0.0.1'), 'listening')
  const proxy = await startSigningProxy((http.address() as AddressInfo).port)
  const command = `node_modules/${suite.folder}/dist/index.js`
  const args = [
    '--import',
    './node-20.mjs',
    command,
    'server',
    '--url',
    `${proxy.origin}/mcp`,
    ...suite.arguments,
  ]
  // The exit code is 1 where a scenario fails: the summary says which.
  const output = await new Promise<string>((resolve) =>
    execFile(process.execPath, args, { cwd: folderOf('mcp') }, (_, stdout, stderr) =>
      resolve(stdout + stderr),
    ),
  )
  proxy.close()
  http.close()
  http.closeAllConnections()
  await backend.close()
  return new Map([...output.matchAll(LINE)].map(([, name = '', result = '']) => [name, result]))
}

const POLICY = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  routes: { '* /mcp': 'authenticated' },
} as const

const tools = [
  ...['simple_text', 'image_content', 'audio_content', 'embedded_resource', 'multiple_content_types'],
  ...['tool_with_logging', 'tool_with_progress', 'error_handling', 'sampling', 'elicitation'],
  ...['elicitation_sep1034_defaults', 'elicitation_sep1330_enums', 'missing_capability', 'logging_tool'],
  ...['streaming_elicitation', 'trigger_tool_change', 'trigger_prompt_change'],
  ...['elicitation', 'sampling', 'list_roots', 'request_state', 'tampered_state', 'multiple_inputs'].map(
    asking,
  ),
  ...['multi_round', 'capabilities'].map(asking),
]
const prompts = [
  'simple_prompt',
  'prompt_with_arguments',
  'prompt_with_embedded_resource',
  'prompt_with_image',
]

function asking(name: string): string {
  return `input_required_result_${name}`
}

const rulesFor = (names: readonly string[]) => Object.fromEntries(names.map((name) => [`test_${name}`, {}]))

const EVERYTHING = {
  tools: rulesFor(tools),
  prompts: rulesFor([...prompts, asking('prompt')]),
  resources: { 'test://*': {} },
  methods: { 'logging/setLevel': 'authenticated', 'subscriptions/listen': 'authenticated' },
} as const
