import { isObject } from '../../../lib/objects.js'
import { UsageError } from '../../usage-error.js'
import {
  createFiles,
  type Files,
  type Located,
  memberOf,
  membersOf,
  type Place,
  placeOf,
} from './document.js'
import { findIssuer, readSecurity, type Security } from './security.js'
import { basePathsOf, readServers } from './servers.js'

/** One operation of an OpenAPI document (3.0 to 3.2, or Swagger 2.0). */
export interface Operation {
  readonly method: string
  /** As the document has it: `/orders/{id}`. */
  readonly path: string
  readonly place: Place
  readonly security: Security
  /** Path prefixes of servers of its own, which replace those of the document. */
  readonly bases: readonly string[] | undefined
}

export interface OpenApi {
  readonly file: string
  readonly operations: readonly Operation[]
  /** Path prefixes of the servers, without a last slash; at least one, which may be empty. */
  readonly bases: readonly string[]
  /** The URL of the first server that is absolute. */
  readonly server: string | undefined
  /** The issuer that its security schemes point at. */
  readonly issuer: string | undefined
}

const methods: ReadonlySet<string> = new Set([
  'get',
  'put',
  'post',
  'delete',
  'options',
  'head',
  'patch',
  'trace',
  'query',
])

/**
 * Reads an OpenAPI document, JSON or YAML, and the files that it refers to. Throws a UsageError where it is
 * none.
 */
export function readOpenApi(file: string): OpenApi {
  const files = createFiles()
  const root = files.root(file)
  const api = root.value
  const paths = memberOf(root, 'paths')
  if (!isObject(api) || paths === undefined || !isObject(paths.value))
    throw new UsageError(`${file} is no OpenAPI document: it has no object "paths"`)
  const servers = readServers(api)
  return {
    file,
    operations: membersOf(paths).flatMap(([path, item]) =>
      path.startsWith('/') ? operationsOf(path, item, root, files) : [],
    ),
    bases: basePathsOf(servers),
    server: servers.find((url) => /^https?:\/\//.test(url)),
    issuer: findIssuer(root, files),
  }
}

/** The operations of a path. Those in the item itself go before those of its `$ref`. */
function operationsOf(path: string, item: Located, root: Located, files: Files): readonly Operation[] {
  const operations = new Map<string, Operation>()
  for (const source of [item, files.follow(item)]) {
    for (const [method, operation] of ownOperations(source)) {
      if (operations.has(method) || !isObject(operation.value)) continue
      const security = memberOf(operation, 'security') ?? memberOf(root, 'security')
      const owner = [operation.value, source.value].find(hasServers)
      operations.set(method, {
        method,
        path,
        place: placeOf(operation),
        security: readSecurity(security?.value, root, files),
        bases: owner && basePathsOf(readServers(owner)),
      })
    }
  }
  return [...operations.values()]
}

function hasServers(value: unknown): value is Record<string, unknown> {
  return isObject(value) && Array.isArray(value.servers)
}

function ownOperations(item: Located): readonly (readonly [method: string, operation: Located])[] {
  const fixed = membersOf(item).filter(([name]) => methods.has(name.toLowerCase()))
  const additional = memberOf(item, 'additionalOperations')
  return [...fixed, ...(additional === undefined ? [] : membersOf(additional))].map(([name, operation]) => [
    name.toUpperCase(),
    operation,
  ])
}
