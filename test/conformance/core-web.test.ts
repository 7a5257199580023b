import { headersDistinct, testCore, testManyAtOnce } from '../support/conformance/core.js'

// Runs with the modules that Workers have: the project "core-web".

testCore("Node's headersDistinct", headersDistinct, { isShared: true })
testManyAtOnce()
