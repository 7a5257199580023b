import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { agentChecksum } from '../../../src/agent/index.js'
import { startOAuthServers } from '../../support/agent/oauth-servers.js'
import { root } from '../../support/docs/markdown.js'
import { isInstalled, needs } from '../../support/installed.js'
import { loadMcpPackages } from '../../support/mcp/packages.js'
import { mcpApp } from '../../support/mcp/sdk-apps.js'

// test/clients/run.ts in a process of Node 22, which some of the frameworks need.

const packages = await loadMcpPackages()
const isReady = isInstalled('clients') && packages !== undefined

interface Result {
  readonly failure?: string
  readonly tools: { name: string; description?: string; parameters: unknown }[]
  readonly checksum: string
  /** The results that the model got for an allowed call, and for denied ones. */
  readonly shown: string[]
}

describe.runIf(isReady)(`agent frameworks${needs('clients')}${needs('mcp')}`, () => {
  let results: Record<string, Result> = {}
  let challenges: unknown
  let ran: readonly string[] = []

  beforeAll(async () => {
    if (packages === undefined) return
    const servers = await startOAuthServers()
    const backend = packages.servers.modern.start()
    const http = createServer()
    await once(http.listen(0, '127.0.0.1'), 'listening')
    const origin = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
    servers.resources.add(origin)
    const spec = {
      policy: {
        issuer: { url: servers.issuer, profile: 'oauth' },
        audience: origin,
        routes: { '* /mcp': 'authenticated' },
      },
      rules: {
        tools: {
          read: { scope: 'orders:read', arguments: { '/order': { in: ['17'] } } },
          refund: { scope: 'orders:refund' },
        },
      },
      backend,
    } as const
    http.on('request', mcpApp('Express', spec, packages.apps, 2))
    afterAll(async () => {
      servers.close()
      http.close()
      http.closeAllConnections()
      await backend.close()
    })

    const environment = { ISSUER: servers.issuer, SECRET: servers.secret, API: servers.api, MCP: origin }
    const { stdout } = await promisify(execFile)(
      'npx',
      ['--yes', '--package=node@22', '--', 'node', '--import', 'tsx', 'test/clients/run.ts'],
      { cwd: root, env: { ...process.env, ...environment }, maxBuffer: 1e7 },
    )
    const printed = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
    results = printed.results
    challenges = printed.challenges
    ran = [...backend.ran]
  }, 180_000)

  const local = [
    'ai',
    '@langchain/core',
    '@openai/agents',
    '@openai/agents, strict',
    '@mastra/core',
    '@anthropic-ai/sdk',
    'llamaindex',
  ]
  const mcp = [
    '@ai-sdk/mcp',
    '@langchain/mcp-adapters',
    '@openai/agents',
    '@mastra/mcp',
    '@modelcontextprotocol/sdk',
    '@modelcontextprotocol/client, oauthProvider',
  ].map((name) => `${name}, MCP`)

  const resultOf = (name: string): Result => {
    const result = results[name]
    if (result === undefined || result.failure !== undefined) throw new Error(`${name}: ${result?.failure}`)
    return result
  }

  it('are all tested', () => {
    expect(Object.keys(results).sort()).toEqual([...local, ...mcp].sort())
  })

  it.each(local)('%s makes a protected call, and shows its model why another one was denied', (name) => {
    const [allowed, denied] = resultOf(name).shown
    expect(allowed).toContain('orders:read')
    expect(allowed).not.toContain('scope_insufficient')
    expect(denied).toContain(
      '403 scope_insufficient: The access token lacks a scope that this request needs.',
    )
  })

  it.each(mcp)('%s does so too', (name) => {
    const [allowed, denied, refused] = resultOf(name).shown
    expect(allowed).toContain('17')
    expect(allowed).not.toContain('scope_insufficient')
    expect(denied).toMatch(/403 scope_insufficient|requires the scope orders:read orders:refund/)
    expect(refused).toMatch(/argument/)
  })

  it('run no denied tool', () => {
    expect(ran).toEqual(mcp.map(() => 'read'))
  })

  it.each(local.filter((name) => name !== '@openai/agents, strict'))(
    '%s gives one checksum to one tool',
    async (name) => {
      expect(resultOf(name).tools).toEqual([tool])
      const { checksum } = resultOf(name)
      expect(checksum).toBe(await agentChecksum({ id: 'reader', prompt: 'Read.', tools: [tool] }))
    },
  )

  it('give one checksum to the tool of an MCP server, but for the AI SDK, which forbids other arguments', () => {
    const [first, ...others] = mcp.filter((name) => name !== '@ai-sdk/mcp, MCP').map(resultOf)
    for (const { checksum } of others) expect(checksum).toBe(first?.checksum)
    const [parameters] = resultOf('@ai-sdk/mcp, MCP').tools.map(({ parameters }) => parameters)
    expect(parameters).toEqual({ ...Object(first?.tools[0]?.parameters), additionalProperties: false })
  })

  it('give another checksum to a strict tool of OpenAI', () => {
    const [strict] = resultOf('@openai/agents, strict').tools
    expect(strict).toEqual({ ...tool, parameters: { ...tool.parameters, additionalProperties: false } })
  })

  it('the client understands the challenges of the middleware of both MCP SDKs', () => {
    const met = {
      refused: {
        scheme: 'Bearer',
        error: 'invalid_token',
        scope: ['orders:refund'],
        resourceMetadata: 'https://orders.example.com/.well-known/oauth-protected-resource/mcp',
      },
      widened: 200,
      denied: 403,
    }
    expect(challenges).toEqual({ 'SDK 1': met, 'SDK 2': met })
  })

  const tool = {
    name: 'read',
    description: 'Read an order',
    parameters: {
      type: 'object',
      properties: {
        order: { type: 'string', description: 'Its number' },
        note: { type: 'string', default: 'none' },
      },
      required: ['order'],
    },
  }
})
