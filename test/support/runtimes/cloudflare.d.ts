/** The part of `cloudflare:workers` that the workers of the tests use. */
declare module 'cloudflare:workers' {
  export const env: Readonly<Record<string, string>>
}
