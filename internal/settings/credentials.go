// SPDX-License-Identifier: Apache-2.0

package settings

// Credentials are a user name and a password, the same wherever the runner logs
// in. The names of the variables follow the prefix of the field that holds them.
type Credentials struct {
	Username string `env:"_USERNAME" attribute:"username_key" secret:"username" line:"true" doc:"User name."`
	Password string `env:"_PASSWORD" attribute:"password_key" secret:"password" line:"true" doc:"Password."`
}

// complete checks that there is a password to each user name.
func (c Credentials) complete(prefix string) (p Problems) {
	if (c.Username == "") != (c.Password == "") {
		p.add(prefix+"_USERNAME, "+prefix+"_PASSWORD", "", "go together: set both or none", prefix+"_USERNAME", prefix+"_PASSWORD")
	}
	return p
}
