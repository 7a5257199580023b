import { folderOf, isInstalled } from '../installed.js'
import type { McpPackages } from './contract.js'

/** The packages of test/mcp, or undefined where they are not installed. */
export async function loadMcpPackages(): Promise<McpPackages | undefined> {
  if (!isInstalled('mcp')) return undefined
  const module: { packages: McpPackages } = await import(`${folderOf('mcp')}/index.ts`)
  return module.packages
}
