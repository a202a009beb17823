import { storeConformance } from './conformance.ts'
import { onEachStore } from './each-store.ts'

onEachStore('conformance', storeConformance)
