import { createMcpExpressApp as createExpress2 } from '@modelcontextprotocol/express'
import { createMcpExpressApp as createExpress1 } from '@modelcontextprotocol/sdk/server/express.js'
import type { McpPackages } from '../support/mcp/contract.js'
import { clients } from './clients.js'
import { startEverything } from './everything.js'
import { startEverythingModern } from './everything-modern.js'
import { startModernLasting, startResumable, startTasks } from './lasting.js'
import { modern, sdk1, sdk2 } from './servers.js'

export const packages: McpPackages = {
  apps: { express1: createExpress1, express2: createExpress2 },
  clients,
  servers: { sdk1, sdk2, modern },
  startEverything,
  startEverythingModern,
  startModernLasting,
  startResumable,
  startTasks,
}
