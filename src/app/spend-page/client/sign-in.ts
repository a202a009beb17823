/// <reference lib="dom" />
/** Signs in without leaving the address, so that the filters in it are kept. */
import { find } from './dom.ts'

const form = find('sign-in', HTMLFormElement)
const refused = find('refused', HTMLElement)
const field = form.elements.namedItem('key')

form.addEventListener('submit', (event) => {
  event.preventDefault()
  void submit()
})
if (field instanceof HTMLInputElement) field.focus()

async function submit(): Promise<void> {
  refused.hidden = true
  const key = field instanceof HTMLInputElement ? field.value : ''
  const answer = await fetch(form.action, {
    method: 'POST',
    body: new URLSearchParams({ key }),
    headers: { accept: 'application/json' },
  }).catch(() => undefined)
  if (answer?.ok) {
    location.reload()
    return
  }
  refused.textContent = wordsFor(answer)
  refused.hidden = false
  if (field instanceof HTMLInputElement) field.select()
}

function wordsFor(answer: Response | undefined): string {
  if (answer?.status === 401) return 'That is not the admin key.'
  if (answer?.status === 429) {
    const minutes = Math.ceil(Number(answer.headers.get('retry-after') ?? '60') / 60)
    return `Too many wrong keys. Try again in ${minutes} min.`
  }
  return answer ? `The gateway answered with status ${answer.status}.` : 'The gateway cannot be reached.'
}
