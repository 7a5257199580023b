import { onTestFinished } from 'vitest'
import { type AgentClientOptions, createAgentClient, defineAgent } from '../../../src/agent/index.js'
import { startApi } from './api.js'
import { startIssuer } from './authorization-server.js'

/** Starts an authorization server and an API on loopback, and closes them after the test. */
export async function startServers() {
  const issuer = await startIssuer()
  const api = await startApi(issuer)
  onTestFinished(issuer.close)
  onTestFinished(api.close)
  const client = (id = 'planner', options: Partial<AgentClientOptions> = {}) =>
    createAgentClient({
      agent: agent(id),
      tokenEndpoint: issuer.tokenEndpoint,
      clientAuth: { method: 'none', clientId: 'app' },
      ...options,
    })
  return { issuer, api, client, orders: `${api.origin}/orders/7` }
}

export function closeLater(server: { close(): Promise<void> }): void {
  onTestFinished(() => server.close())
}

export function agent(id = 'planner') {
  return defineAgent({
    id,
    prompt: 'You plan refunds.',
    tools: [{ name: 'search', description: 'Find an order', parameters: { type: 'object' } }],
    config: { model: 'm-1' } as Record<string, unknown>,
  })
}

/** The reason of a rejection. Throws if the promise resolves. */
export async function failure<E extends Error>(
  work: Promise<unknown>,
  type: abstract new (...args: never[]) => E,
): Promise<E> {
  const outcome = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (outcome instanceof type) return outcome
  throw new Error(`expected ${type.name}, got ${String(outcome ?? 'no rejection')}`)
}

export function payload(jws: string | undefined): Record<string, unknown> {
  return JSON.parse(Buffer.from(jws?.split('.')[1] ?? '', 'base64url').toString())
}
