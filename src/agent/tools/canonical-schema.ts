type JsonObject = Readonly<Record<string, unknown>>

/** Keywords whose value is one schema, a list of schemas, or a map of schemas by name. */
const SCHEMAS = new Set([
  ...['items', 'additionalItems', 'prefixItems', 'contains', 'additionalProperties', 'propertyNames'],
  ...['not', 'if', 'then', 'else', 'allOf', 'anyOf', 'oneOf', 'unevaluatedItems', 'unevaluatedProperties'],
])
const MAPS = new Set(['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas'])

/** Keywords that say nothing with this value. */
const DEFAULTS: Readonly<Record<string, (value: unknown) => boolean>> = {
  $schema: () => true,
  additionalProperties: isAnything,
  unevaluatedProperties: isAnything,
  properties: isEmpty,
  patternProperties: isEmpty,
  $defs: isEmpty,
  definitions: isEmpty,
  required: isEmpty,
  description: (value) => value === '',
  uniqueItems: (value) => value === false,
  deprecated: (value) => value === false,
  readOnly: (value) => value === false,
  writeOnly: (value) => value === false,
  nullable: (value) => value === false,
  minLength: (value) => value === 0,
  minItems: (value) => value === 0,
  minProperties: (value) => value === 0,
}

/**
 * Version 1 of the canonical form of a tool's JSON Schema. Frameworks write one schema in several ways; each
 * of them has the same canonical form:
 *
 * - without `$schema`, and without keywords that have their default value, such as `additionalProperties:
 * true`
 * - `type` in lower case
 * - `required` sorted, without the members that have a `default`
 *
 * Nothing else is changed: `additionalProperties: false` is another schema than none.
 *
 * @throws TypeError if the schema is nested deeper than 64 levels
 */
export function canonicalSchema(schema: JsonObject, path: string, depth = 0): JsonObject {
  // The limit also stops a cycle.
  if (depth > 64) throw new TypeError(`${path} is nested deeper than 64 levels`)
  const next = (value: unknown) => canonicalValue(value, path, depth + 1)
  const result: Record<string, unknown> = {}
  for (const [keyword, value] of Object.entries(schema)) {
    const canonical = canonicalKeyword(keyword, value, schema, next)
    if (canonical !== undefined && !(Object.hasOwn(DEFAULTS, keyword) && DEFAULTS[keyword]?.(canonical)))
      define(result, keyword, canonical)
  }
  return result
}

function canonicalKeyword(
  keyword: string,
  value: unknown,
  schema: JsonObject,
  next: (value: unknown) => unknown,
): unknown {
  if (keyword === 'type') return lowerCase(value)
  if (keyword === 'required') return Array.isArray(value) ? requiredOf(value, schema.properties) : value
  if (MAPS.has(keyword) && isObject(value)) {
    const map: Record<string, unknown> = {}
    for (const [name, member] of Object.entries(value)) define(map, name, next(member))
    return map
  }
  // Values of `enum`, `const`, `default` and `examples` are data.
  return SCHEMAS.has(keyword) ? next(value) : value
}

function canonicalValue(value: unknown, path: string, depth: number): unknown {
  if (Array.isArray(value)) return value.map((item) => canonicalValue(item, path, depth))
  return isObject(value) ? canonicalSchema(value, path, depth) : value
}

/** Google's types are in upper case. */
function lowerCase(type: unknown): unknown {
  if (Array.isArray(type)) return type.map(lowerCase)
  return typeof type === 'string' ? type.toLowerCase() : type
}

/** A member with a default may be left out by a caller, whatever a converter for results says. */
function requiredOf(names: readonly unknown[], properties: unknown): unknown[] {
  const hasDefault = (name: unknown) => {
    const member: unknown =
      isObject(properties) && typeof name === 'string' && Object.hasOwn(properties, name) && properties[name]
    return isObject(member) && Object.hasOwn(member, 'default')
  }
  return [...new Set(names.filter((name) => !hasDefault(name)))].sort()
}

/** A member named `__proto__` is a member like others. */
function define(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, enumerable: true, writable: true, configurable: true })
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}

function isAnything(value: unknown): boolean {
  return value === true || (isObject(value) && isEmpty(value))
}
