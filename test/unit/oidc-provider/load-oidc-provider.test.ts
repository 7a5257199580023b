import { describe, expect, it } from 'vitest'
import { loadOidcProvider } from '../../../src/oidc-provider/load-oidc-provider.js'

const main = () => import('oidc-provider')
const helpers = () => import('oidc-provider/lib/helpers/grants.js')
const internals = () => import('oidc-provider/lib/helpers/weak_cache.js' as string)
const absent = () => Promise.reject(new Error('ERR_MODULE_NOT_FOUND'))

const noImport = 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING_FLAG'

describe('the installed oidc-provider', () => {
  it('has what the grant needs', async () => {
    expect(Object.keys(await loadOidcProvider())).toContain('validateDpop')
  })

  it('is reported as missing, or as the wrong version', async () => {
    const needs = /^ajwt\/oidc-provider needs oidc-provider 9 .*: /
    const failures: [Parameters<typeof loadOidcProvider>[0], string][] = [
      [{ main: absent, helpers, internals }, 'oidc-provider is not installed'],
      [
        // The error of import() in jest with its defaults.
        {
          main: () => Promise.reject(Object.assign(new TypeError(), { code: noImport })),
          helpers,
          internals,
        },
        'run jest with NODE_OPTIONS=--experimental-vm-modules',
      ],
      [{ main, helpers: absent, internals }, 'it has no lib/helpers/grants.js'],
      [
        { main, helpers: async () => ({ ...(await helpers()), validateDpop: undefined }), internals },
        'its lib/helpers/grants.js lacks validateDpop',
      ],
      [{ main, helpers, internals: absent }, 'it has no lib/helpers/weak_cache.js'],
    ]
    for (const [modules, what] of failures) {
      const failure = await loadOidcProvider(modules).then(
        () => '',
        (error: Error) => error.message,
      )
      expect(failure).toMatch(needs)
      expect(failure).toContain(what)
    }
  })
})
