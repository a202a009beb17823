import { MODEL_ENDPOINTS, withoutVersion } from '../../../core/request/endpoints.ts'
import { unknownValue } from '../../../io/names/nearest-name.ts'
import { reading } from './scalar-fields.ts'

/** A model endpoint, with or without `/v1`; the value is without. */
export const endpoint = () =>
  reading(
    (text) => {
      const bare = withoutVersion(text)
      return MODEL_ENDPOINTS.has(bare) ? bare : undefined
    },
    (text) => unknownValue('endpoint', text, [...MODEL_ENDPOINTS]),
  )
