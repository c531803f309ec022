// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"google.golang.org/grpc/status"
)

// NewSecret is a Kubernetes secret to create in Pachyderm's namespace.
type NewSecret struct {
	Name   string
	Type   string // "" for Opaque
	Labels map[string]string
	Data   map[string]string // never shown again by the server
}

// SecretInfo is what the server tells of a secret: never what it holds.
type SecretInfo struct {
	Name, Type string
	Created    time.Time // in whole seconds
}

// CreateSecret makes a Kubernetes secret. An error does not hold any of its values.
func (c *Client) CreateSecret(ctx context.Context, s NewSecret) error {
	data := make(map[string][]byte, len(s.Data))
	for key, value := range s.Data {
		data[key] = []byte(value)
	}
	type object = map[string]any
	file, err := json.Marshal(object{"kind": "Secret", "apiVersion": "v1", "type": s.Type,
		"metadata": object{"name": s.Name, "labels": s.Labels}, "data": data})
	if err != nil {
		return fmt.Errorf("create secret %s: it cannot be written as JSON", s.Name)
	}
	if _, err := c.PPS.CreateSecret(ctx, &pps.CreateSecretRequest{File: file}); err != nil {
		return fmt.Errorf("create secret %s: %w", s.Name, redacted(err, s.Data))
	}
	return nil
}

// InspectSecret says what is known of a secret.
func (c *Client) InspectSecret(ctx context.Context, name string) (*SecretInfo, error) {
	info, err := c.PPS.InspectSecret(ctx, &pps.InspectSecretRequest{Secret: &pps.Secret{Name: name}})
	if err != nil {
		return nil, fmt.Errorf("inspect secret %s: %w", name, err)
	}
	return secretFrom(info), nil
}

// DeleteSecret deletes a secret. Pods that run keep what they have read of it.
func (c *Client) DeleteSecret(ctx context.Context, name string) error {
	if _, err := c.PPS.DeleteSecret(ctx, &pps.DeleteSecretRequest{Secret: &pps.Secret{Name: name}}); err != nil {
		return fmt.Errorf("delete secret %s: %w", name, err)
	}
	return nil
}

// ListSecrets lists the secrets that were made through Pachyderm, in order of their names.
func (c *Client) ListSecrets(ctx context.Context) ([]*SecretInfo, error) {
	infos, err := c.PPS.ListSecret(ctx, &types.Empty{})
	if err != nil {
		return nil, fmt.Errorf("list secrets: %w", err)
	}
	var secrets []*SecretInfo
	for _, info := range infos.SecretInfo {
		secrets = append(secrets, secretFrom(info))
	}
	return secrets, nil
}

func secretFrom(info *pps.SecretInfo) *SecretInfo {
	return &SecretInfo{Name: info.GetSecret().GetName(), Type: info.GetType(), Created: timeFrom(info.GetCreationTimestamp())}
}

// redacted takes the values of a secret out of what an error says. Kubernetes
// quotes what it refuses. Short values are left: they would garble any text.
func redacted(err error, data map[string]string) error {
	text := Reason(err)
	for _, value := range data {
		for _, part := range append(strings.Split(value, "\n"), value, base64.StdEncoding.EncodeToString([]byte(value))) {
			if len(part) >= 4 {
				quoted := strconv.Quote(part)
				text = strings.NewReplacer(part, "(redacted)", quoted[1:len(quoted)-1], "(redacted)").Replace(text)
			}
		}
	}
	if text == Reason(err) {
		return err
	}
	return status.Error(code(err), text)
}
