function login(email, password, callback) {
  const dbPassword = 'canary-7-canary-7';
  return callback(null, { user_id: email });
}
