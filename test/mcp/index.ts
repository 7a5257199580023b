import { createMcpExpressApp as createExpress2 } from '@modelcontextprotocol/express'
import { createMcpHonoApp } from '@modelcontextprotocol/hono'
import { createMcpExpressApp as createExpress1 } from '@modelcontextprotocol/sdk/server/express.js'
import type { McpApps, McpPackages } from '../support/mcp/contract.js'
import { clients } from './clients.js'
import { startEverything } from './everything.js'
import { startEverythingModern } from './everything-modern.js'
import { startModernLasting, startResumable, startTasks } from './lasting.js'
import { modern, sdk1, sdk2 } from './servers.js'

// The types of Hono are installed twice, and TypeScript takes the two for different classes.
const hono2 = createMcpHonoApp as unknown as McpApps['hono2']

export const packages: McpPackages = {
  apps: { express1: createExpress1, express2: createExpress2, hono2 },
  clients,
  servers: { sdk1, sdk2, modern },
  startEverything,
  startEverythingModern,
  startModernLasting,
  startResumable,
  startTasks,
}
