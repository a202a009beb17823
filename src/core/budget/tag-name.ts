/** What the name of a kind of tags may be, which stands before the colon: `agent` in `agent:coder`. */
export const TAG_NAME = /^[A-Za-z0-9._-]{1,64}$/
