/** What can be read off one source file without running it. */
import ts from 'typescript'

/** Every module that `source` names: imports, exports, `import()` and import types. */
export function importsOf(source: ts.SourceFile): string[] {
  const names: string[] = []
  const add = (node: ts.Node | undefined) => {
    names.push(node && ts.isStringLiteralLike(node) ? node.text : '(computed)')
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier)
    else if (ts.isExportDeclaration(node) && node.moduleSpecifier) add(node.moduleSpecifier)
    else if (ts.isExternalModuleReference(node)) add(node.expression)
    else if (ts.isImportTypeNode(node)) {
      add(ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined)
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0])
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return names
}

/**
 * What `source` does when it is imported, beyond declaring: calls, awaits, statements, and bindings that can change.
 * Each finding names its line. Allowed: symbols, text coders, `Object.freeze`, and sets and maps of fixed content.
 */
export function runsAtImport(source: ts.SourceFile): string[] {
  const found: string[] = []
  const report = (node: ts.Node, why: string) => {
    const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1
    found.push(`line ${line}: ${why}: ${node.getText().split('\n')[0]}`)
  }

  /** An expression that is evaluated at import. Bodies of functions are not. */
  const evaluate = (node: ts.Node): void => {
    if (ts.isTypeNode(node)) return
    if (ts.isFunctionLike(node)) {
      if (node.name && ts.isComputedPropertyName(node.name)) evaluate(node.name.expression)
      return
    }
    if (ts.isClassLike(node)) {
      evaluateClass(node)
      return
    }
    if (ts.isAwaitExpression(node)) report(node, 'waits at import')
    else if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
      if (!isHarmless(node)) report(node, 'runs at import')
    } else if (ts.isTaggedTemplateExpression(node)) report(node, 'runs at import')
    else if (isChange(node)) report(node, 'changes something at import')
    ts.forEachChild(node, evaluate)
  }

  const evaluateClass = (node: ts.ClassLikeDeclaration): void => {
    for (const decorator of ts.getDecorators(node) ?? []) report(decorator, 'runs at import')
    for (const clause of node.heritageClauses ?? []) {
      if (clause.token !== ts.SyntaxKind.ExtendsKeyword) continue
      for (const type of clause.types) evaluate(type.expression)
    }
    for (const member of node.members) {
      const decorators = ts.canHaveDecorators(member) ? (ts.getDecorators(member) ?? []) : []
      for (const decorator of decorators) report(decorator, 'runs at import')
      if (member.name && ts.isComputedPropertyName(member.name)) evaluate(member.name.expression)
      if (ts.isClassStaticBlockDeclaration(member)) report(member, 'runs at import')
      if (!ts.isPropertyDeclaration(member) || !member.initializer) continue
      const modifiers = member.modifiers?.map((modifier) => modifier.kind) ?? []
      if (!modifiers.includes(ts.SyntaxKind.StaticKeyword)) continue
      if (!modifiers.includes(ts.SyntaxKind.ReadonlyKeyword)) report(member, 'can be reassigned')
      evaluate(member.initializer)
    }
  }

  for (const statement of source.statements) {
    if (ts.isVariableStatement(statement)) {
      if (statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DeclareKeyword)) continue
      const constant = (statement.declarationList.flags & ts.NodeFlags.Const) !== 0
      if (!constant) report(statement, 'can be reassigned')
      for (const declaration of statement.declarationList.declarations) {
        const { initializer, type } = declaration
        if (!initializer) continue
        const readonly = type !== undefined && /^(readonly\b|Readonly)/.test(type.getText())
        if (isEmptyContainer(initializer) && !readonly) report(declaration, 'keeps state')
        evaluate(initializer)
      }
    } else if (ts.isClassDeclaration(statement)) evaluateClass(statement)
    else if (ts.isExportAssignment(statement)) evaluate(statement.expression)
    else if (ts.isExpressionStatement(statement)) {
      const { expression } = statement
      if (ts.isCallExpression(expression) && isHarmless(expression)) evaluate(expression)
      else report(statement, 'runs at import')
    } else if (!isDeclaration(statement)) report(statement, 'runs at import')
  }
  return found
}

function isDeclaration(node: ts.Statement): boolean {
  return (
    ts.isImportDeclaration(node) ||
    ts.isExportDeclaration(node) ||
    ts.isFunctionDeclaration(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    (ts.isModuleDeclaration(node) &&
      node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DeclareKeyword) === true) ||
    ts.isEmptyStatement(node)
  )
}

function isHarmless(node: ts.CallExpression | ts.NewExpression): boolean {
  const callee = node.expression.getText()
  if (ts.isCallExpression(node)) return ['Symbol', 'Symbol.for', 'Object.freeze'].includes(callee)
  if (callee === 'TextEncoder' || callee === 'TextDecoder') return true
  return (callee === 'Set' || callee === 'Map') && isFixedList(node.arguments?.[0])
}

/** A list with at least one element, all of them written out or constants. */
function isFixedList(node: ts.Expression | undefined): boolean {
  if (node === undefined || !ts.isArrayLiteralExpression(node)) return false
  return node.elements.length > 0
}

function isEmptyContainer(node: ts.Expression): boolean {
  if (ts.isAsExpression(node) || ts.isSatisfiesExpression(node)) {
    return isEmptyContainer(node.expression)
  }
  return (
    (ts.isArrayLiteralExpression(node) && node.elements.length === 0) ||
    (ts.isObjectLiteralExpression(node) && node.properties.length === 0)
  )
}

function isChange(node: ts.Node): boolean {
  if (ts.isDeleteExpression(node)) return true
  if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) {
    return (
      node.operator === ts.SyntaxKind.PlusPlusToken ||
      node.operator === ts.SyntaxKind.MinusMinusToken
    )
  }
  return (
    ts.isBinaryExpression(node) &&
    node.operatorToken.kind >= ts.SyntaxKind.FirstAssignment &&
    node.operatorToken.kind <= ts.SyntaxKind.LastAssignment
  )
}
