// Compiled, never run: protectMcp and the middleware of ajwt/mcp on each framework.

import express from 'express'
import { Hono } from 'hono'
import Koa from 'koa'
import { protectMcp } from '../../middleware/express.js'
import { protectMcp as honoProtectMcp, type McpEnv } from '../../middleware/hono.js'
import { protectMcp as koaProtectMcp } from '../../middleware/koa.js'
import { createVerifier } from '../../src/index.js'
import { bindSessions, endWithToken, memorySessionStore } from '../../src/mcp/index.js'

const policy = { issuer: 'https://as.example.com', audience: 'https://notes.example.com/mcp' }
const rules = { tools: { 'add-note': { scope: 'notes:write' } } }
const verifier = createVerifier({ ...policy, routes: { '* /mcp': 'authenticated' } })

express()
  .use(protectMcp(policy, rules))
  .use(protectMcp(verifier, rules, { path: '/tools', store: new Map<string, string>(), denials: 'http' }))
  .use(
    '/mcp',
    bindSessions({ store: memorySessionStore({ maxEntries: 10 }) }),
    endWithToken({ recheckInterval: 5 }),
  )

new Koa().use(koaProtectMcp(policy, rules)).use(bindSessions()).use(endWithToken())

new Hono<McpEnv>()
  .use(honoProtectMcp(policy, rules))
  .use(bindSessions())
  .use('/mcp', endWithToken())
  .all('/mcp', (c) => c.json(c.get('auth')?.scopes ?? c.get('ajwt')?.scopes ?? []))
new Hono().use(honoProtectMcp(policy, rules), bindSessions())

// @ts-expect-error the rules are missing
protectMcp(policy)
// @ts-expect-error a tool is written as an object
protectMcp(policy, { tools: ['add-note'] })
// @ts-expect-error an unknown option
protectMcp(policy, rules, { paths: '/mcp' })
// @ts-expect-error a store without delete
bindSessions({ store: { get: () => undefined, set: () => {} } })
// @ts-expect-error seconds
endWithToken({ recheckInterval: '5' })
