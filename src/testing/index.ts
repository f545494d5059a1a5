export { describeVaultStore, type StoreContractOptions, type TestRunner } from './store-contract.js'
