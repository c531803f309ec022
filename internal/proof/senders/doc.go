// SPDX-License-Identifier: Apache-2.0

// Package senders has senders that others have written send to the source of
// webhooks: curl, and the libraries of Standard Webhooks, Stripe and CloudEvents
// for Python. It holds tests only; see make test-brokers.
package senders
