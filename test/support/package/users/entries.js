const { entries } = require('./entries.json')

// The loader changes how Node loads modules. Jest loads them itself, and refuses that.
const loadable = entries.filter((entry) => entry !== 'ajwt/agent/loader')

test.each(loadable)('loads %s', (entry) => {
  expect(Object.keys(require(entry)).length).toBeGreaterThan(0)
})
