/** Limits on what may be signed, regardless of what a seller asks for. */
import { z } from 'zod'
import * as onChain from './chain-fields.ts'
import * as leaf from './scalar-fields.ts'

const DAY_SECONDS = 86_400

export const policy = z
  .strictObject({
    require_price: z.boolean().default(false).meta({
      description:
        'Whether a route without payer must have prices under model_info while a budget in USD is enforced; otherwise that is only a warning, and its calls count in no such budget.',
      example: 'true',
    }),
    max_usd_per_request: leaf.ceiling().prefault('0.10').meta({
      description:
        'A quote above it is refused before anything is signed. `none` is allowed only where every payer spends vouchers with a fixed price.',
      example: '"0.10"',
    }),
    approve_above_usd: leaf.usd().optional().meta({
      description:
        'A call that may cost more waits for a person: `tollway approve`, the spend page or `POST /admin/approvals/<id>` (docs/approvals.md). Without a decision it is refused. Nothing is reserved or signed while it waits.',
      example: '"2.00"',
    }),
    approval_seconds: z.int().min(10).max(3600).default(300).meta({
      description: 'How long a call waits for approval. Clients must wait as long for their answer.',
      example: '300',
    }),
    max_validity_seconds: z
      .int()
      .min(10)
      .max(DAY_SECONDS)
      .default(600)
      .meta({ description: 'Longest time a signed payment stays valid.', example: '600' }),
    max_price_change: leaf.ratio().optional().meta({
      description:
        'How far a quote may exceed the lowest price paid for the same seller, path, model and token. If unset, only the ceiling applies: sellers may price by the request.',
      example: '"0.20"',
    }),
    offer_order: z.enum(['cheapest', 'seller']).default('cheapest').meta({
      description:
        'Which of several acceptable offers of a seller is paid: the cheapest in USD (`upto` counts as its maximum), or the first one the seller names.',
      example: 'cheapest',
    }),
    sign_in: z.boolean().default(false).meta({
      description:
        'Signs in (`sign-in-with-x`) at a seller that offers it and was paid for the same path before, instead of paying again. The wallet signs a message of the seller that passed the gate; it moves no money.',
      example: 'true',
    }),
    terms: z.enum(['remember', 'ask']).default('remember').meta({
      description:
        '`remember` pays without asking first where a seller has asked the same terms repeatedly (docs/sellers.md); `ask` sends the unpaid request before every payment. A route may override it.',
      example: 'ask',
    }),
    on_changed_terms: z.enum(['fail', 'pay_again']).default('fail').meta({
      description:
        'What to do where a seller answers a payment by remembered terms with other terms: answer 400 `terms_changed`, or pay the new terms as well, once, both together under max_usd_per_request and within the budgets. The first payment stays counted until the chain proves it unspent.',
      example: 'pay_again',
    }),
    block_private_networks: z.boolean().default(false).meta({
      description:
        'Refuses paid sellers whose host is, or resolves to, an address that is not on the public internet. For machines that pay only external sellers: a seller on this machine is refused too.',
      example: 'true',
    }),
    sellers: z
      .record(
        leaf.origin(),
        z.strictObject({
          pay_to: onChain.payees().meta({
            description:
              'Addresses this seller may be paid at, for every network; `any` for a seller that names another payee in each request. Then only its origin, the token, the ceiling and the budgets bound what it can take.',
            example: '["0x209693bc6afc0c5328ba36faf03c514ef312287c"]',
          }),
        }),
      )
      .default({})
      .meta({
        description:
          'Per origin of a paid route. A seller that is not listed is pinned when its first payment settles.',
      }),
  })
  .prefault({})
  .meta({ description: 'Limits on what may be signed, whatever a seller asks for.' })
