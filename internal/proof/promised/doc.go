// SPDX-License-Identifier: Apache-2.0

// Package promised holds what releases have promised to those who use them, and
// the tests that keep the promises:
//
//   - testdata/schema.json: objects of the provider with all their attributes,
//     and its functions;
//   - testdata/settings.json: the runner's variables, with their defaults;
//   - testdata/descriptions.txt: descriptions of commits, one of each kind that
//     was ever written, and what must be read from it.
//
// What is new breaks nothing, and gets into the files by "make golden", which
// "make generate" does, too. What breaks a promise fails the tests, and "make
// golden" refuses it: somebody's configuration, or spout, would no longer work
// after an upgrade. Where that is meant, "make golden BREAKING=1" writes it
// down, and CHANGELOG.md says what users have to do.
package promised
