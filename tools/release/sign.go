// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// key signs the release.
type key struct{ entity *openpgp.Entity }

// signatures are made so that everybody can check them. The registry takes
// keys of RSA only.
var signatures = &packet.Config{DefaultHash: crypto.SHA512, Algorithm: packet.PubKeyAlgoRSA, RSABits: 3072}

// signingKey is a new key, or the one in GPG_PRIVATE_KEY, which
// GPG_PASSPHRASE opens if it has one.
func signingKey(throwAway bool) (key, error) {
	if throwAway {
		entity, err := openpgp.NewEntity("A key that was thrown away", "signs nothing that anybody should trust", "", signatures)
		return key{entity}, err
	}
	armored := os.Getenv("GPG_PRIVATE_KEY")
	if armored == "" {
		return key{}, errors.New("there is no key to sign with: GPG_PRIVATE_KEY must hold an armored private key, or -throw-away-key be given")
	}
	entities, err := openpgp.ReadArmoredKeyRing(strings.NewReader(armored))
	if err != nil {
		return key{}, fmt.Errorf("GPG_PRIVATE_KEY: %w", err)
	}
	if len(entities) != 1 || entities[0].PrivateKey == nil {
		return key{}, fmt.Errorf("GPG_PRIVATE_KEY must hold one private key, and holds %d keys", len(entities))
	}
	if entities[0].PrivateKey.Encrypted {
		if err := entities[0].DecryptPrivateKeys([]byte(os.Getenv("GPG_PASSPHRASE"))); err != nil {
			return key{}, errors.New("GPG_PASSPHRASE does not open the key in GPG_PRIVATE_KEY")
		}
	}
	if entities[0].PrimaryKey.PubKeyAlgo != packet.PubKeyAlgoRSA {
		return key{}, errors.New("the key in GPG_PRIVATE_KEY is not of RSA, and the registry takes no other")
	}
	return key{entities[0]}, nil
}

// sign writes the detached signature of a file beside it.
func (k key) sign(name string) error {
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var signature bytes.Buffer
	if err := openpgp.DetachSign(&signature, k.entity, bytes.NewReader(content), signatures); err != nil {
		return fmt.Errorf("signing %s: %w", name, err)
	}
	return os.WriteFile(name+".sig", signature.Bytes(), 0o644)
}

// writePublic writes the public half, armored.
func (k key) writePublic(name string) error {
	public, err := k.public()
	if err != nil {
		return err
	}
	return os.WriteFile(name, []byte(public), 0o644)
}

func (k key) public() (string, error) {
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PublicKeyType, nil)
	if err != nil {
		return "", err
	}
	if err := errors.Join(k.entity.Serialize(w), w.Close()); err != nil {
		return "", err
	}
	_, _ = io.WriteString(&out, "\n")
	return out.String(), nil
}
