// SPDX-License-Identifier: Apache-2.0

// Package rabbitmqcluster runs a real RabbitMQ on this machine for tests and
// trials: the server that the system has (Debian's package rabbitmq-server), as
// processes of its own, at loopback addresses that nobody else has. It needs
// Linux, and touches no service of the system.
package rabbitmqcluster
