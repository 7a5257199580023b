import { isObject } from '../../../lib/objects.js'

/** The URLs of the servers of a document, a path or an operation, their variables filled in. */
export function readServers(owner: Record<string, unknown>): readonly string[] {
  if (Array.isArray(owner.servers)) return owner.servers.flatMap(readServer)
  // Swagger 2.0
  const { host, basePath = '' } = owner
  if (typeof basePath !== 'string') return []
  return [typeof host === 'string' ? `https://${host}${basePath}` : basePath]
}

/** A variable without a default cannot be filled in: the server then tells nothing. */
function readServer(server: unknown): string[] {
  if (!isObject(server) || typeof server.url !== 'string') return []
  const variables = isObject(server.variables) ? server.variables : {}
  const url = server.url.replaceAll(/\{([^}]*)\}/g, (text, name: string) => {
    const variable = Object.hasOwn(variables, name) ? variables[name] : undefined
    return isObject(variable) && variable.default !== undefined ? String(variable.default) : text
  })
  return /[{}]/.test(url) ? [] : [url]
}

/** The paths of servers without a last slash, and none: a proxy may strip it in front of the API. */
export function basePathsOf(servers: readonly string[]): readonly string[] {
  return [...new Set(['', ...servers.map(basePathOf)])]
}

export function basePathOf(url: string): string {
  const path = URL.canParse(url, 'https://any.example') ? new URL(url, 'https://any.example').pathname : ''
  return path.replace(/\/+$/, '')
}
